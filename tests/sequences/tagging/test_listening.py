import pytest
import torch
from torch import nn

from pendio.sequences.models.bodies import FAMILIES
from pendio.sequences.tagging.listening import gradient_times_input, listen, occlusion
from pendio.sequences.tagging.network import Tagger

from .conftest import make_tagger

TOKENS = torch.tensor([5, 9, 4, 11, 7])


class Linear(nn.Module):
    """An encoder that only embeds, so that a tagger on it is linear."""

    width = 6

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 6, padding_idx=0)

    def embed(self, inputs):
        return self.embedding(inputs)

    def read(self, values, present):
        return values


def linear_tagger(pooling, asked=None):
    torch.manual_seed(3)
    return Tagger(Linear(), 3, pooling, asked).double().eval()


@pytest.mark.parametrize("pooling", ["mean", "last"])
@pytest.mark.parametrize("output", [0, 2])
def test_in_a_linear_model_both_are_what_each_step_adds(pooling, output):
    tagger = linear_tagger(pooling)
    gradient = gradient_times_input(tagger, TOKENS, output)
    fallen = occlusion(tagger, TOKENS, output)
    logit = tagger(TOKENS[None]).detach()[0, output]
    assert float(gradient.sum()) == pytest.approx(float(logit - tagger.head.bias.detach()[output]), abs=1e-12)
    assert torch.allclose(gradient, fallen, atol=1e-12)
    own = tagger.embed(TOKENS) @ tagger.head.weight[output]
    own = own / 5 if pooling == "mean" else own * torch.tensor([0, 0, 0, 0, 1])
    assert torch.allclose(gradient, own, atol=1e-12)


def test_padding_says_nothing():
    tagger = linear_tagger("mean")
    padded = torch.cat([TOKENS, torch.zeros(3, dtype=torch.long)])
    for heard, alone in zip(listen(tagger, padded)[1:], listen(tagger, TOKENS)[1:], strict=True):
        assert not heard[5:].any()
        assert torch.allclose(heard[:5], alone, atol=1e-12)


@pytest.mark.parametrize("model", FAMILIES)
def test_occlusion_is_the_fall_of_the_logit_step_by_step(model):
    tagger = make_tagger(model)
    fallen = occlusion(tagger, TOKENS, 1, batch=2)
    whole = tagger(TOKENS[None])[0, 1]
    for step in range(5):
        values = tagger.embed(TOKENS[None]).clone()
        values[0, step] = 0
        assert float(fallen[step]) == pytest.approx(float(whole - tagger.answer(values, None)[0, 1]), abs=1e-9)


@pytest.mark.parametrize("model", FAMILIES)
def test_the_winner_is_listened_for_and_nothing_is_left_behind(model):
    tagger = make_tagger(model, features=2)
    inputs = torch.rand(9, 2, dtype=torch.float64)
    heard = listen(tagger, inputs)
    assert heard.output == int(tagger(inputs[None]).argmax())
    assert heard.gradient.shape == heard.occlusion.shape == (9,)
    assert heard.gradient.any()
    assert not heard.gradient.requires_grad
    assert torch.equal(heard.gradient, gradient_times_input(tagger, inputs, heard.output))
    # Central differences along the input itself.
    step = 8
    values = inputs[None].repeat(2, 1, 1)
    values[0, step] *= 1 + 1e-6
    values[1, step] *= 1 - 1e-6
    up, down = tagger(values)[:, heard.output]
    assert float(heard.gradient[step]) == pytest.approx(float(up - down) / 2e-6, rel=1e-4, abs=1e-8)


def test_each_of_several_answers_listens_for_itself():
    tagger = linear_tagger("last", asked=2)
    for step, place in ((0, 3), (1, 4), (None, 4)):
        heard = listen(tagger, TOKENS, step=step)
        assert torch.nonzero(heard.gradient).flatten().tolist() == [place]
        assert heard.output == int(tagger(TOKENS[None])[0, place - 3].argmax())
