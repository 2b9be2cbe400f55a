import pytest
import torch

from pendio.generation.autoencoder.corruption import corrupt


def generator():
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("kind", ["gaussian", "salt-pepper", "mask"])
@pytest.mark.parametrize("shape", [(4, 3, 16, 16), (4, 7)])
def test_the_same_chance_spoils_the_same_and_leaves_the_original(kind, shape):
    examples = torch.rand(shape, generator=generator())
    before = examples.clone()
    one, other = (corrupt(examples, kind, 0.4, generator()) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(examples, before)
    assert not torch.equal(one, examples)


def test_noise_has_the_deviation_that_is_asked_for():
    spoilt = corrupt(torch.zeros(50, 1, 32, 32), "gaussian", 0.3, generator())
    assert float(spoilt.std()) == pytest.approx(0.3, rel=0.01)


def test_salt_and_pepper_hit_all_channels_of_as_many_pixels():
    spoilt = corrupt(torch.full((50, 3, 32, 32), 0.5), "salt-pepper", 0.2, generator())
    assert float((spoilt == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((spoilt == 1).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert torch.equal(spoilt[:, 0], spoilt[:, 1])


def test_a_mask_blots_out_whole_squares():
    spoilt = corrupt(torch.ones(200, 1, 16, 16), "mask", 0.25, generator())
    squares = spoilt.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)
    assert torch.equal(squares.amin(-1), squares.amax(-1))
    assert float((spoilt == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
