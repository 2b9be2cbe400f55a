import pytest
import torch
from torch import nn

from pendio.ascent.reading import LOGITS, Reader, channels_first, fingerprint, frozen
from pendio.errors import InputError

from .networks import deep, random, wrapped

IMAGES = random(2, 2, 5, 4)


class Seen(nn.Module):
    """Counts how often it runs."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, images):
        self.runs += 1
        return images


def test_layers_are_read_as_they_are_before_an_in_place_relu():
    network = deep().eval()
    read = Reader(network, ["first", "bend", LOGITS])(IMAGES)
    assert torch.equal(read["first"], network.module.first(IMAGES))
    assert (read["first"] < 0).any()
    assert torch.equal(read["bend"], read["first"].relu())
    assert torch.equal(read[LOGITS], network(IMAGES))


def test_the_pass_stops_at_the_deepest_layer_asked_for():
    after = Seen()
    network = wrapped(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), after, nn.Flatten())).eval()
    reader = Reader(network, ["0", "1"])
    reader(IMAGES)
    assert after.runs == 1, "the first pass goes to the end, to see what runs"
    read = reader(IMAGES)
    assert after.runs == 1
    assert torch.equal(read["1"], network.module[0](IMAGES).tanh())


def test_a_layer_that_runs_twice_is_read_at_its_last():
    bend = nn.Tanh()
    network = wrapped(nn.Sequential(bend, nn.Conv2d(2, 3, 3), bend, nn.Flatten())).eval()
    reader = Reader(network, ["0"])
    for _ in range(2):
        assert torch.equal(reader(IMAGES)["0"], network.module[1](IMAGES.tanh()).tanh())


def test_hooks_are_gone_after_a_call_even_one_that_fails():
    class Breaks(nn.Module):
        def forward(self, images):
            raise RuntimeError("out of memory")

    network = wrapped(nn.Sequential(nn.Conv2d(2, 3, 3), Breaks()))
    before = fingerprint(network)
    with pytest.raises(RuntimeError, match="out of memory"):
        Reader(network, ["0"])(IMAGES)
    assert fingerprint(network) == before


def test_a_frozen_network_is_put_back_part_by_part():
    network = deep().train()
    network.module.second.eval()
    network.module.first.requires_grad_(False)
    before = fingerprint(network)
    with frozen(network):
        assert not any(part.training for part in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
    assert fingerprint(network) == before
    with pytest.raises(ValueError, match="stop"), frozen(network):
        raise ValueError("stop")
    assert fingerprint(network) == before


def test_a_fingerprint_notices_what_may_not_change():
    network = deep()
    before = fingerprint(network)
    for change in (
        lambda: network.module.first.weight.data.add_(1e-3),
        lambda: network.module.drop.eval(),
        lambda: network.module.head.requires_grad_(False),
        lambda: network.module.head.register_forward_hook(lambda *_: None),
    ):
        change()
        assert fingerprint(network) != before
        before = fingerprint(network)


@pytest.mark.parametrize(
    ("name", "message"),
    [("secnd", "no layer 'secnd'; did you mean 'second'?"), ("", "no layer ''"), ("logit", "did you mean 'logits'?")],
)
def test_a_wrong_name_suggests_the_nearest(name, message):
    with pytest.raises(InputError) as error:
        Reader(deep(), [name])
    assert message in str(error.value)


def test_what_returns_no_tensor_is_named():
    class Pair(nn.Module):
        def forward(self, images):
            return images.flatten(1), images

    with pytest.raises(InputError, match="this network returns a tuple instead of a tensor"):
        Reader(wrapped(Pair()), [LOGITS])(IMAGES)
    with pytest.raises(InputError, match="layer '0' returns a tuple"):
        Reader(wrapped(nn.Sequential(Pair(), nn.Identity())), ["0"])(IMAGES)


def test_a_layer_that_does_not_run_is_named():
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Conv2d(2, 2, 1)

        def forward(self, images):
            return images.flatten(1)

    with pytest.raises(InputError, match="'unused' does not run"):
        Reader(wrapped(Skips()), ["unused"])(IMAGES)


def test_channels_of_maps_vectors_and_tokens():
    assert channels_first(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 20)
    assert channels_first(torch.zeros(2, 3)).shape == (2, 3, 1)
    assert channels_first(torch.zeros(2, 7, 3)).shape == (2, 3, 7)
