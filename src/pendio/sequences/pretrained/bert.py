"""BERT (Devlin et al., 2019) and its relatives such as MiniLM (Wang et al., 2020), as ``transformers`` saves them."""

import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pendio.data.text.tokenizer_files import FileTokenizer
from pendio.errors import InputError
from pendio.nn.transformer import Form, Transformer
from pendio.sequences.pretrained.folders import Config, read_config
from pendio.sequences.pretrained.tensors import Part, load_weights

__all__ = ["Encoder", "blank_bert", "framed", "load_bert"]

_TYPES = "embeddings.token_type_embeddings.weight"
_UNUSED = re.compile(r"embeddings\.position_ids|(pooler|cls|classifier|qa_outputs)\..*")
"""A constant, and heads of tasks."""

_SAME = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


class Encoder(nn.Module):
    """Reads a whole text at once, each token with all others in sight.

    Args:
        vocabulary: how many tokens there are.
        form: of the Transformer.
    """

    def __init__(self, vocabulary: int, form: Form) -> None:
        super().__init__()
        self.vocabulary, self.width, self.length = vocabulary, form.width, form.length
        self.embedding = nn.Embedding(vocabulary, form.width)
        self.body = Transformer(form, causal=False)

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Features ``(N, T, width)`` of ``tokens (N, T)``.

        Args:
            tokens: their numbers, at most ``length`` in a row.
            present: ``(N, T)`` false where they are padding; one in each row at least is not.

        Raises:
            ValueError: there are more tokens than places.
        """
        if tokens.shape[1] > self.length:
            raise ValueError(f"{tokens.shape[1]} tokens do not fit into {self.length} places")
        features: Tensor = self.body(self.embedding(tokens), None, present)[0]
        return features

    def pooled(self, tokens: Tensor, present: Tensor) -> Tensor:
        """One vector of length 1 for each text, ``(N, width)``: the mean of its tokens' features, normalised.

        The product of two is the cosine of how alike the texts are (Reimers and Gurevych, 2019).
        """
        weights = present[..., None] / present.sum(1)[:, None, None]
        return F.normalize((self(tokens, present) * weights).sum(1), dim=-1)


def _parts(layers: int) -> list[Part]:
    parts = [
        Part("embedding.weight", ("embeddings.word_embeddings.weight",)),
        Part("body.positions.table", ("embeddings.position_embeddings.weight",)),
    ]
    for kind in ("weight", "bias"):
        parts.append(Part(f"body.norm_inputs.{kind}", (f"embeddings.LayerNorm.{kind}",)))
        for number in range(layers):
            ours, theirs = f"body.layers.{number}", f"encoder.layer.{number}"
            heads = tuple(f"{theirs}.attention.self.{part}.{kind}" for part in ("query", "key", "value"))
            parts += [
                Part(f"{ours}.attention.project.{kind}", heads),
                Part(f"{ours}.attention.join.{kind}", (f"{theirs}.attention.output.dense.{kind}",)),
                Part(f"{ours}.attention_norm.{kind}", (f"{theirs}.attention.output.LayerNorm.{kind}",)),
                Part(f"{ours}.feedforward.up.{kind}", (f"{theirs}.intermediate.dense.{kind}",)),
                Part(f"{ours}.feedforward.down.{kind}", (f"{theirs}.output.dense.{kind}",)),
                Part(f"{ours}.feedforward_norm.{kind}", (f"{theirs}.output.LayerNorm.{kind}",)),
            ]
    return parts


def blank_bert(config: Config, dropout: float = 0.0) -> Encoder:
    """The encoder that a config describes, on the meta device: it has shapes and no memory.

    Args:
        config: a BERT's ``config.json``.
        dropout: probability of dropping an activation while training.

    Raises:
        InputError: it lacks something, has a size that no BERT has, or a variant that pendio does not build.
    """
    config.demand(_SAME)
    width, heads = config.whole("hidden_size", 1 << 14), config.whole("num_attention_heads", 1 << 10)
    if width % heads:
        raise InputError(f"'{config.path}': hidden_size {width} must be a multiple of num_attention_heads {heads}")
    form = Form(
        width=width, heads=heads, layers=config.whole("num_hidden_layers", 1 << 9),
        length=config.whole("max_position_embeddings", 1 << 20), hidden=config.whole("intermediate_size", 1 << 17),
        norm="post", norm_inputs=True, activation=config.activation("hidden_act"),
        eps=config.fraction("layer_norm_eps"), dropout=dropout,
    )  # fmt: skip
    with torch.device("meta"):
        return Encoder(config.whole("vocab_size", 1 << 20), form)


def load_bert(folder: str | Path, dropout: float = 0.0) -> Encoder:
    """A BERT from a folder with ``config.json`` and ``model.safetensors``, in float32 and ready for inference.

    All text is of the first of its types of segments, so that this type's vector is added to each place's. Heads of the
    tasks that it was trained on are left out.

    Args:
        folder: where they are.
        dropout: probability of dropping an activation, should it be trained on.

    Raises:
        InputError: the folder or what is in it is missing, damaged, or of another model.
    """
    config = read_config(folder, "bert")
    encoder = blank_bert(config, dropout)
    parts = _parts(config.whole("num_hidden_layers", 1 << 9))
    types = {_TYPES: (config.whole("type_vocab_size", 1 << 10), encoder.width)}
    found = load_weights(encoder, Path(folder), parts, prefix="bert.", unused=_UNUSED, besides=types)
    assert encoder.body.positions is not None
    with torch.no_grad():
        encoder.body.positions.table += found[_TYPES][0]
    return encoder.eval()


def framed(tokenizer: FileTokenizer, text: str, most: int) -> NDArray[np.int64]:
    """The tokens of a text as BERT reads it, between ``[CLS]`` and ``[SEP]``: at most ``most``, cut at the end.

    Raises:
        InputError: the tokenizer has no such tokens.
    """
    start, end = tokenizer.number("[CLS]"), tokenizer.number("[SEP]")
    return np.array([start, *tokenizer.encode(text)[: most - 2], end], dtype=np.int64)
