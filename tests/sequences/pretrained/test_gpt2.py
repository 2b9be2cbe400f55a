import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from pendio.errors import InputError
from pendio.nn.transformer import Form, Transformer
from pendio.sequences.models.bodies import Architecture, build_body
from pendio.sequences.models.language_model import LanguageModel
from pendio.sequences.pretrained.folders import Config, is_pretrained, read_config
from pendio.sequences.pretrained.gpt2 import blank_gpt2, load_gpt2, save_gpt2

SMALL = {"n_layer": 3, "n_embd": 48, "n_head": 4, "n_positions": 64, "vocab_size": 211, "bos_token_id": None}


def random_gpt2(**settings):
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**{**SMALL, "eos_token_id": None, **settings})).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # at first all biases are 0, and a lost one would not be missed
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model.transformer.wpe.weight.mul_(10)  # so that its greedy text does not repeat itself
    return model


@pytest.fixture(scope="module")
def theirs():
    return random_gpt2()


@pytest.fixture
def folder(theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    return tmp_path


def change(folder, change_config=lambda config: None, change_weights=lambda weights: None):
    config, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    change_config(config)
    change_weights(weights)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(weights, folder / "model.safetensors")


@torch.no_grad()
def test_logits_are_those_of_transformers(theirs, folder):
    tokens = torch.randint(0, 211, (3, 64), generator=torch.Generator().manual_seed(1))
    ours = load_gpt2(folder)
    assert not ours.training
    assert is_pretrained(folder) == "gpt2"
    torch.testing.assert_close(ours(tokens)[0], theirs(tokens).logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_greedy_text_is_identical_token_for_token_with_a_cache(theirs, folder):
    prompt = torch.tensor([[3, 1, 4, 1, 5]])
    expected = theirs.generate(prompt, max_new_tokens=50, do_sample=False, pad_token_id=0)[0].tolist()
    ours = load_gpt2(folder)
    logits, state = ours.read([prompt[0]])
    written = prompt[0].tolist()
    for _ in range(50):
        written.append(int(logits[0].argmax()))
        logits = ours(torch.tensor([written[-1:]]), state)[0][:, -1]
    assert written == expected
    assert len(set(written[5:])) > 10


@pytest.mark.parametrize(
    "settings",
    [{"activation_function": "gelu"}, {"activation_function": "relu", "n_inner": 40}, {"layer_norm_epsilon": 0.1}],
)
@torch.no_grad()
def test_variants_of_the_config_change_the_model(settings, tmp_path):
    theirs = random_gpt2(**settings)
    theirs.save_pretrained(tmp_path)
    tokens = torch.arange(20)[None]
    torch.testing.assert_close(load_gpt2(tmp_path)(tokens)[0], theirs(tokens).logits, atol=1e-4, rtol=0)


@torch.no_grad()
def test_names_without_prefix_old_masks_a_tied_copy_and_half_precision_are_read(theirs, folder):
    def older(weights):
        for name in list(weights):
            weights[name.removeprefix("transformer.")] = weights.pop(name).bfloat16()
        weights["lm_head.weight"] = weights["wte.weight"].clone()
        for layer in range(3):
            weights[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64, dtype=torch.uint8).tril()
            weights[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)

    change(folder, change_weights=older)
    ours = load_gpt2(folder)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    rounded = load_file(folder / "model.safetensors")
    assert torch.equal(ours.body.layers[2].feedforward.up.weight, rounded["h.2.mlp.c_fc.weight"].float().T)


def test_gpt2_small_has_its_published_number_of_parameters(tmp_path):
    config = Config(tmp_path / "config.json", GPT2Config().to_dict())
    model = blank_gpt2(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == 124_439_808
    assert len(list(model.parameters())) == 148
    assert all(parameter.is_meta for parameter in model.parameters())


@torch.no_grad()
def test_what_pendio_trained_is_read_back_by_transformers_and_by_itself(tmp_path):
    torch.manual_seed(0)
    body = build_body(Architecture(width=32, layers=2, heads=2), 32, 24, dropout=0.1)
    ours = LanguageModel(50, body, 32, 0.1).eval()
    for parameter in ours.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    save_gpt2(ours, tmp_path / "new" / "folder")
    tokens = torch.randint(0, 50, (2, 24))
    theirs, info = GPT2LMHeadModel.from_pretrained(tmp_path / "new" / "folder", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(theirs.eval()(tokens).logits, ours(tokens)[0], atol=1e-4, rtol=0)
    again = load_gpt2(tmp_path / "new" / "folder")
    assert torch.equal(again(tokens)[0], ours(tokens)[0])


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu-tanh"])
@torch.no_grad()
def test_each_activation_is_saved_by_its_name(activation, tmp_path):
    form = Form(width=8, heads=2, layers=1, length=8, hidden=12, activation=activation, eps=1e-3)
    save_gpt2(LanguageModel(9, Transformer(form, causal=True), 8), tmp_path)
    assert load_gpt2(tmp_path).body.form == form


def test_the_weights_can_be_trained_on(folder):
    model = load_gpt2(folder, dropout=0.5).train()
    logits, _ = model(torch.arange(8)[None])
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not torch.equal(model(torch.arange(8)[None])[0], logits)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"positions": "rotary"}, "--positions rotary"),
        ({"norm": "post"}, "--norm post"),
        ({"score": "cosine"}, "--score cosine"),
        ({"key_width": 2}, "key or value widths"),
        ({"value_width": 2}, "key or value widths"),
        ({"norm_inputs": True}, "normalised inputs"),
        ({"bias": False}, "no biases"),
    ],
)
def test_a_form_that_gpt2_has_not_is_refused(form, message, tmp_path):
    body = Transformer(Form(width=8, heads=2, layers=1, length=8, **form), causal=True)
    with pytest.raises(InputError, match=message):
        save_gpt2(LanguageModel(9, body, 8), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_another_family_or_an_untied_head_is_refused(tmp_path):
    with pytest.raises(InputError, match="--model transformer"):
        save_gpt2(LanguageModel(9, build_body(Architecture(model="lstm", width=8), 8, 8), 8), tmp_path / "x")


# Files from others


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_embd": 10**9}, "n_embd must be a whole number from 1 to 16,384, got 1000000000"),
        ({"vocab_size": -1}, "vocab_size must be"),
        ({"n_layer": 10**6}, "n_layer must be"),
        ({"n_layer": True}, "n_layer must be"),
        ({"n_positions": "64"}, 'n_positions must be a whole number from 1 to 1,048,576, got "64"'),
        ({"n_inner": 2.5}, "n_inner must be"),
        ({"n_head": 5}, "n_embd 48 must be a multiple of n_head 5"),
        ({"activation_function": "swish"}, "activation_function must be one of gelu, gelu_new"),
        ({"activation_function": []}, "activation_function must be one of"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon must be a number between 0 and 1, got 0"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is true, and only false"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is false"),
        ({"model_type": "llama"}, 'type "llama"; supported are gpt2'),
        ({"model_type": "bert"}, "holds a model of type bert, expected gpt2"),
        ({"n_embd": 64}, r"transformer\.wte\.weight is F32 \(211, 48\), expected floating-point \(211, 64\)"),
        ({"vocab_size": 212}, r"\(211, 48\), expected floating-point \(212, 48\)"),
        ({"n_layer": 4}, r"lacks the tensor h\.3\.ln_1\.weight"),
        ({"n_layer": 2}, r"has a tensor h\.2\.attn\.c_attn\.bias, for which the model has no place"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(values, message, folder):
    change(folder, change_config=lambda config: config.update(values))
    with pytest.raises(InputError, match=message) as caught:
        load_gpt2(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["n_embd", "n_layer", "n_head", "n_positions", "vocab_size", "layer_norm_epsilon"])
def test_a_missing_entry_is_named(name, folder):
    change(folder, change_config=lambda config: config.pop(name))
    with pytest.raises(InputError, match=f"lacks {name}"):
        load_gpt2(folder)


def test_an_untied_head_a_twice_named_tensor_and_whole_numbers_are_refused(folder):
    change(folder, change_weights=lambda weights: weights.update({"lm_head.weight": torch.zeros(211, 48)}))
    with pytest.raises(InputError, match=r"lm_head\.weight differs from wte\.weight"):
        load_gpt2(folder)
    change(folder, change_weights=lambda weights: weights.pop("lm_head.weight"))
    change(folder, change_weights=lambda weights: weights.update({"ln_f.bias": torch.zeros(48)}))
    with pytest.raises(InputError, match=r"has ln_f\.bias twice"):
        load_gpt2(folder)
    change(folder, change_weights=lambda weights: weights.pop("ln_f.bias"))
    change(folder, change_weights=lambda weights: weights.update({"transformer.ln_f.bias": torch.zeros(48).int()}))
    with pytest.raises(InputError, match=r"ln_f\.bias is I32"):
        load_gpt2(folder)


def test_missing_and_damaged_files_are_refused(folder):
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60))
    with pytest.raises(InputError, match="damaged or no safetensors file"):
        load_gpt2(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"there is no .*model\.safetensors"):
        load_gpt2(folder)
    for damaged in (b"[1]", b"{", b"\xff", b"[" * 100_000):
        (folder / "config.json").write_bytes(damaged)
        with pytest.raises(InputError, match=r"config\.json"):
            load_gpt2(folder)
    (folder / "config.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        load_gpt2(folder)
    (folder / "config.json").unlink()
    assert is_pretrained(folder) is None
    with pytest.raises(InputError, match=r"there is no .*config\.json"):
        read_config(folder, "gpt2")
