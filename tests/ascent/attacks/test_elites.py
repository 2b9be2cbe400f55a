import pytest
import torch
from torch import nn

import pendio
from pendio.ascent.attacks.elites import map_elites
from pendio.ascent.attacks.goal import eight_bit
from pendio.ascent.reading import fingerprint, frozen
from pendio.errors import InputError
from pendio.nn.network import Network


class Softmax(nn.Module):
    """Logits linear in the images; remembers the probabilities that it gave."""

    def __init__(self, weights, bias):
        super().__init__()
        self.weights, self.bias = nn.Parameter(weights), nn.Parameter(bias)
        self.given = []

    def forward(self, images):
        logits = images.flatten(1) @ self.weights + self.bias
        assert not logits.requires_grad, "only forward"
        self.given.append(logits.softmax(1))
        return logits


def network_of(weights, bias, shape):
    names = [str(k) for k in range(len(bias))]
    return Network(Softmax(weights, bias), shape, [0.0] * shape[0], [1.0] * shape[0], names)


def test_a_digits_network_is_sure_of_images_that_show_nothing(digits_run):
    network = pendio.load(digits_run.folder).network
    before, state = fingerprint(network), torch.get_rng_state()
    elites = map_elites(network, budget=20_000)
    assert elites.queries == 20_000
    assert int((elites.probabilities > 0.99).sum()) >= 9
    with frozen(network), torch.no_grad():
        answer = network(elites.images).softmax(1)
    torch.testing.assert_close(answer.diagonal(), elites.probabilities, atol=1e-4, rtol=0)
    assert elites.images.shape == (10, 1, 8, 8)
    assert torch.equal(eight_bit(elites.images), elites.images), "a PNG file keeps them"
    assert fingerprint(network) == before
    assert torch.equal(torch.get_rng_state(), state)
    data = pendio.data.open("digits")
    learnt, real = data.train.inputs.flatten(1), data.test.inputs.flatten(1)
    nearest = torch.cdist(elites.images.flatten(1), learnt).amin(1)
    assert bool((nearest > torch.cdist(real, learnt).amin(1).max()).all()), "farther from digits than any digit is"


def test_each_niche_holds_the_best_of_all_that_was_asked_and_the_history_tells_how():
    weights = torch.randn(25, 4, generator=torch.Generator().manual_seed(0))
    network = network_of(weights, torch.zeros(4), (1, 5, 5))
    elites = map_elites(network, budget=537, batch=50)
    given = network.module.given
    assert [len(batch) for batch in given] == [50] * 10 + [37]
    assert elites.queries == 537
    torch.testing.assert_close(elites.probabilities, torch.cat(given).amax(0), atol=1e-6, rtol=0)
    assert [entry.queries for entry in elites.history] == [*range(50, 501, 50), 537]
    for at, entry in enumerate(elites.history, 1):
        best, place = torch.cat(given[:at]).max(0)
        assert entry.certainty == pytest.approx(float(best.mean()), abs=1e-6)
        taken = torch.cat(given[:at]).argmax(1)[place]
        assert entry.coverage == pytest.approx(float((taken == torch.arange(4)).float().mean()))


def test_on_a_linear_softmax_network_the_archive_reaches_the_closed_form():
    """Of plain grey v, logits (6v, 3, 0): class 0 is likeliest for white, and the others for black."""
    network = network_of(torch.tensor([[6.0, 0.0, 0.0]] * 4) / 4, torch.tensor([0.0, 3.0, 0.0]), (1, 2, 2))
    elites = map_elites(network, budget=2000, detail=1)
    white, black = torch.tensor([6.0, 3.0, 0.0]).softmax(0), torch.tensor([0.0, 3.0, 0.0]).softmax(0)
    expected = torch.stack([white[0], black[1], black[2]])
    torch.testing.assert_close(elites.probabilities, expected, atol=1e-5, rtol=0)
    assert elites.images.amin((1, 2, 3)).tolist() == [1.0, 0.0, 0.0]
    assert elites.images.amax((1, 2, 3)).tolist() == [1.0, 0.0, 0.0]
    assert elites.history[-1].coverage == pytest.approx(2 / 3), "no grey is taken for the last class"


def test_large_colour_images_are_small_ones_enlarged():
    weights = torch.randn(3 * 40 * 36, 2, generator=torch.Generator().manual_seed(0)) / 10
    network = network_of(weights, torch.zeros(2), (3, 40, 36))
    images = map_elites(network, budget=200, batch=20, detail=4, mutation=3.0).images
    assert images.shape == (2, 3, 40, 36)
    steps = images.diff(dim=2).abs().max()
    assert 0 < float(steps) < 0.3, "no detail finer than a tenth of the height"


def test_the_same_seed_evolves_the_same_images():
    weights = torch.randn(25, 4, generator=torch.Generator().manual_seed(0))
    network = network_of(weights, torch.zeros(4), (1, 5, 5))
    one, same, other = (map_elites(network, budget=300, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.images, same.images)
    assert one.history == same.history
    assert not torch.equal(one.images, other.images)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 19}, "--budget 19 has no room .* --batch 20"),
        ({"batch": 0}, "--batch and --detail must be at least 1, got 0"),
        ({"detail": 0}, "--batch and --detail must be at least 1, got 20 and 0"),
        ({"mutation": 0.0}, "--mutation must be positive, got 0"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        map_elites(network_of(torch.zeros(4, 2), torch.zeros(2), (1, 2, 2)), **options)


def test_a_network_of_points_has_no_images_to_evolve():
    network = Network(nn.Linear(2, 2), (2,), [0.0, 0.0], [1.0, 1.0], ("a", "b"))
    with pytest.raises(InputError, match="for networks of images"):
        map_elites(network)
