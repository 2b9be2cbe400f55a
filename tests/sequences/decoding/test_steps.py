import pytest
import torch

from pendio.nn.transformer import Form, Transformer
from pendio.sequences.decoding.fast import Int8Linear, lightened
from pendio.sequences.decoding.steps import stepper
from pendio.sequences.models.language_model import LanguageModel
from tests.sequences.decoding.conftest import build

SMALL = {"width": 24, "heads": 3, "layers": 2, "length": 12}

FORMS = {
    "usual": {},
    "sinusoidal": {"positions": "sinusoidal"},
    "rotary": {"positions": "rotary"},
    "post": {"norm": "post"},
    "normalized inputs": {"norm_inputs": True},
    "additive": {"score": "additive"},
    "cosine": {"score": "cosine"},
    "dot": {"score": "dot"},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "gelu-tanh"},
    "widths": {"key_width": 5, "value_width": 7, "hidden": 31},
    "no biases": {"bias": False},
    "eps": {"eps": 0.3},
}


def made(**form):
    torch.manual_seed(1)
    model = LanguageModel(40, Transformer(Form(**{**SMALL, **form}), causal=True), 24, scale=5.0).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def agree(model, prompts, tokens, atol=1e-4):
    """Both ways from the same beginning, token by token, each with a state of its own."""
    with torch.inference_mode():
        (_, one), (_, other) = model.read(prompts), model.read(prompts)
        step = stepper(model)
        for new in tokens.T:
            found, one = step(new, one)
            expected, other = model(new[:, None], other)
            assert float(expected.std()) > 0.05
            torch.testing.assert_close(found, expected[:, -1], atol=atol, rtol=1e-4)


@pytest.mark.parametrize("name", FORMS)
def test_a_step_is_the_model(name):
    tokens = torch.randint(0, 40, (3, 8))
    agree(made(**FORMS[name]), [torch.tensor([1, 2, 3])] * 3, tokens)
    agree(made(**FORMS[name]), [torch.tensor([4])], tokens[:1])


def test_rows_that_were_padded_are_stepped_right_too():
    agree(made(), [torch.tensor([1, 2, 3]), torch.tensor([4])], torch.randint(0, 40, (2, 7)))


@pytest.mark.parametrize("family", ["window", "rnn", "lstm", "tcn"])
def test_other_families_step_through_their_modules(family):
    agree(build(family, vocabulary=40), [torch.tensor([1, 2])] * 2, torch.randint(0, 40, (2, 6)))


def test_light_layers_are_stepped_as_light():
    torch.manual_seed(1)
    form = Form(width=256, heads=4, layers=2, length=12)
    model = lightened(LanguageModel(600, Transformer(form, causal=True), 256, scale=16.0))
    assert any(isinstance(module, Int8Linear) for module in model.modules())
    agree(model, [torch.tensor([1, 2])] * 2, torch.randint(0, 40, (2, 6)))


def test_a_cache_that_is_full_is_refused():
    model = made()
    with torch.inference_mode():
        _, state = model.read([torch.tensor([1, 2, 3])], 4)
        step = stepper(model)
        step(torch.tensor([5]), state)
        with pytest.raises(ValueError, match="4 positions"):
            step(torch.tensor([5]), state)
