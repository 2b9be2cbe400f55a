import math

import pytest
import torch
from torch import nn

from pendio.nn.temporal import CausalConvolution
from pendio.sequences.looking.dependence import next_token
from pendio.sequences.models.bodies import FAMILIES, Architecture, build_body
from pendio.sequences.models.language_model import LanguageModel

TOKENS = torch.tensor([3, 1, 4, 1, 5, 2, 0])


class LinearWindow(nn.Module):
    """A window of four steps without a hidden layer."""

    width, reach, carries = 6, 4, True

    def __init__(self):
        super().__init__()
        self.convolution = CausalConvolution(6, 6, 4)
        nn.init.normal_(self.convolution.convolution.bias)

    def begin(self, rows):
        return self.convolution.begin(rows)

    def forward(self, values, state=None, present=None):
        features, state = self.convolution(values.transpose(1, 2), self.begin(len(values)))
        return features.transpose(1, 2), state


def make_model(body):
    torch.manual_seed(1)
    return LanguageModel(8, body, 6, scale=math.sqrt(6)).double().eval().requires_grad_(False)


@pytest.mark.parametrize("token", [0, 5])
def test_in_a_linear_window_they_add_up_to_the_logit_without_its_bias(token):
    model = make_model(LinearWindow())
    found = next_token(model, TOKENS, token)
    logit = model(TOKENS[None])[0][0, -1, token]
    bias = model.logits(model.body.convolution.convolution.bias)[token]
    assert float(found.gradient.sum()) == pytest.approx(float(logit - bias), abs=1e-12)
    assert not found.gradient[:3].any()
    assert found.gradient[3:].all()
    # Each is what its token adds by itself.
    weight = model.body.convolution.convolution.weight[:, :, 0]
    own = model.logits(weight @ (model.embedding.weight[TOKENS[3]] * model.scale))[token]
    assert float(found.gradient[3]) == pytest.approx(float(own), abs=1e-12)


@pytest.mark.parametrize("model", FAMILIES)
def test_the_likeliest_is_asked_for_and_the_weights_stay_untouched(model):
    architecture = Architecture(model=model, width=6, layers=2, heads=1, kernel=2, window=3)
    made = make_model(build_body(architecture, 6, 10))
    found = next_token(made, TOKENS)
    logits = made(TOKENS[None])[0][0, -1]
    assert found.token == int(logits.argmax())
    assert found.gradient.shape == (7,)
    assert not found.gradient.requires_grad
    # A central difference along one embedding.
    values = (made.embedding(TOKENS[None]) * made.scale).repeat(2, 1, 1)
    values[0, 6] *= 1 + 1e-6
    values[1, 6] *= 1 - 1e-6
    up, down = made.logits(made.reader(values)[0][:, -1])[:, found.token]
    assert float(found.gradient[6]) == pytest.approx(float(up - down) / 2e-6, rel=1e-4, abs=1e-8)
