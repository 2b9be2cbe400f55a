"""GPT-2 (Radford et al., 2019) as ``transformers`` saves it, read into pendio's own language model and written from it."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.nn.transformer import Form, Transformer
from pendio.runs.files import write_text, write_weights, writing
from pendio.sequences.models.language_model import LanguageModel
from pendio.sequences.pretrained.folders import ACTIVATIONS, CONFIG, WEIGHTS, Config, read_config
from pendio.sequences.pretrained.tensors import Part, load_weights

__all__ = ["blank_gpt2", "load_gpt2", "save_gpt2"]

_TWINS = {"lm_head.weight": "wte.weight"}
_UNUSED = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
"""Constants of its causal mask that some files hold."""

_SAME = {
    "tie_word_embeddings": True,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}

_IN_LAYER = (
    ("attention_norm", "ln_1", False),
    ("attention.project", "attn.c_attn", True),
    ("attention.join", "attn.c_proj", True),
    ("feedforward_norm", "ln_2", False),
    ("feedforward.up", "mlp.c_fc", True),
    ("feedforward.down", "mlp.c_proj", True),
)
"""Name in a layer of pendio's, name in GPT-2's, and whether its weight is transposed there."""


def _parts(layers: int) -> list[Part]:
    parts = [Part("embedding.weight", ("wte.weight",)), Part("body.positions.table", ("wpe.weight",))]
    for number in range(layers):
        for layer, entry, transposed in _IN_LAYER:
            ours, theirs = f"body.layers.{number}.{layer}", f"h.{number}.{entry}"
            parts.append(Part(f"{ours}.weight", (f"{theirs}.weight",), transposed))
            parts.append(Part(f"{ours}.bias", (f"{theirs}.bias",)))
    return [*parts, *(Part(f"body.norm.{kind}", (f"ln_f.{kind}",)) for kind in ("weight", "bias"))]


def blank_gpt2(config: Config, dropout: float = 0.0) -> LanguageModel:
    """The model that a config describes, on the meta device: it has shapes and no memory.

    Args:
        config: a GPT-2's ``config.json``.
        dropout: probability of dropping an activation while training.

    Raises:
        InputError: it lacks something, has a size that no GPT-2 has, or a variant that pendio does not build.
    """
    config.demand(_SAME)
    width, heads = config.whole("n_embd", 1 << 14), config.whole("n_head", 1 << 10)
    if width % heads:
        raise InputError(f"'{config.path}': n_embd {width} must be a multiple of n_head {heads}")
    form = Form(
        width=width, heads=heads, layers=config.whole("n_layer", 1 << 9), length=config.whole("n_positions", 1 << 20),
        hidden=None if config.values.get("n_inner") is None else config.whole("n_inner", 1 << 17),
        activation=config.activation("activation_function"), eps=config.fraction("layer_norm_epsilon"), dropout=dropout,
    )  # fmt: skip
    with torch.device("meta"):
        return LanguageModel(config.whole("vocab_size", 1 << 20), Transformer(form, causal=True), width, dropout)


def load_gpt2(folder: str | Path, dropout: float = 0.0) -> LanguageModel:
    """A GPT-2 from a folder with ``config.json`` and ``model.safetensors``, in float32 and ready for inference.

    Args:
        folder: where they are.
        dropout: probability of dropping an activation, should it be trained on.

    Raises:
        InputError: the folder or what is in it is missing, damaged, or of another model.
    """
    config = read_config(folder, "gpt2")
    model = blank_gpt2(config, dropout)
    layers = config.whole("n_layer", 1 << 9)
    load_weights(model, Path(folder), _parts(layers), prefix="transformer.", unused=_UNUSED, twins=_TWINS)
    return model.eval()


def save_gpt2(model: LanguageModel, folder: str | Path) -> None:
    """Write a language model as ``transformers`` reads it.

    Args:
        model: of a Transformer that is built like GPT-2.
        folder: is made where it is missing.

    Raises:
        InputError: GPT-2 has no such form, or the folder cannot be written.
    """
    form = _form(model)
    weights: dict[str, Tensor] = {}
    parameters = dict(model.named_parameters())
    for name, (source,), transposed in _parts(form.layers):
        weight = parameters[name].detach()
        weights[f"transformer.{source}"] = weight.T if transposed else weight
    with writing(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    write_weights(Path(folder) / WEIGHTS, weights)
    write_text(Path(folder) / CONFIG, json.dumps(_config(model.vocabulary, form), indent=2) + "\n")


def _form(model: LanguageModel) -> Form:
    if not isinstance(model.body, Transformer):
        raise InputError("only a language model of --model transformer can be saved as GPT-2")
    form = model.body.form
    share = form.width // form.heads
    wrong = {
        f"--positions {form.positions}": form.positions != "learned",
        f"--norm {form.norm}": form.norm != "pre",
        f"--score {form.score}": form.score != "scaled",
        "a head of its own": model.head is not None,
        "other key or value widths": (form.key_width or share, form.value_width or share) != (share, share),
        "normalised inputs": form.norm_inputs,
        "no biases": not form.bias,
    }
    for what, differs in wrong.items():
        if differs:
            raise InputError(f"a model with {what} cannot be saved as GPT-2, which has --positions learned, --norm pre, "
                             "--score scaled, biases, and a head tied to the embedding")  # fmt: skip
    return form


def _config(vocabulary: int, form: Form) -> dict[str, Any]:
    # GPT-2's own "gelu" is the exact one; its tanh approximation is "gelu_new".
    activation = next(theirs for theirs, ours in ACTIVATIONS.items() if ours == form.activation)
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": vocabulary,
        "n_positions": form.length,
        "n_embd": form.width,
        "n_layer": form.layers,
        "n_head": form.heads,
        "n_inner": form.hidden or 4 * form.width,
        "activation_function": activation,
        "layer_norm_epsilon": form.eps,
        "embd_pdrop": form.dropout,
        "resid_pdrop": form.dropout,
        "attn_pdrop": form.dropout,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "torch_dtype": "float32",
    }
