import copy
import itertools

import pytest
import torch
from torch import nn

import pendio
from pendio.ascent.attacks.evolution import FewPixel, Genetic
from pendio.ascent.attacks.goal import Goal, distances, eight_bit
from pendio.ascent.reading import fingerprint, frozen
from pendio.errors import InputError
from pendio.nn.network import Network

ATTACKS = [
    FewPixel(pixels=1, budget=97, population=13),
    FewPixel(pixels=3, budget=101, population=17),
    FewPixel(pixels=20, budget=59, population=58),
    Genetic(epsilon=0.1, budget=97, population=7),
    Genetic(epsilon=0.1, budget=11, population=10, cells=3),
]
attacks = pytest.mark.parametrize("attack", ATTACKS, ids=repr)


class Forward(torch.autograd.Function):
    """Cannot be run backward."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise AssertionError("this attack may only ask")


class Linear(nn.Module):
    """weights · x + bias, ``(F, K)`` and ``(K,)``; counts the images it sees and refuses to run backward."""

    def __init__(self, weights, bias):
        super().__init__()
        self.weights, self.bias = nn.Parameter(weights), nn.Parameter(bias)
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return Forward.apply(images.flatten(1) @ self.weights + self.bias)


def linear(shape, classes=3, bias=-50.0):
    """A linear network that takes everything for class 0 by ``bias``."""
    draw = torch.Generator().manual_seed(3)
    weights = torch.randn(torch.Size(shape).numel(), classes, generator=draw)
    offsets = torch.full((classes,), bias)
    offsets[0] = 0
    module = Linear(weights, offsets)
    return Network(module, shape, [0.0] * shape[0], [1.0] * shape[0], [str(k) for k in range(classes)])


def pictures(count, shape):
    return eight_bit(torch.rand(count, *shape, generator=torch.Generator().manual_seed(5)))


def margin(network, images, goal):
    with frozen(network), torch.no_grad():
        return goal.margin(network(images), torch.arange(len(images)))


@pytest.fixture(scope="module")
def digits(digits_run):
    """A network with images that it takes for what they are."""
    network = pendio.load(digits_run.folder).network
    test = pendio.data.open("digits").test
    with frozen(network), torch.no_grad():
        right = network(test.inputs).argmax(1) == test.targets
    return network, test.inputs[right], test.targets[right]


@attacks
def test_queries_are_what_the_network_saw_and_never_more_than_the_budget(attack):
    network = linear((2, 6, 5))
    found = attack(network, pictures(3, (2, 6, 5)), Goal(torch.tensor([0, 1, 0])))
    assert network.module.seen == int(found.queries.sum())
    assert found.queries.tolist() == [attack.budget, 1, attack.budget]
    assert found.reached.tolist() == [False, True, False]
    assert torch.equal(found.images[1], found.originals[1]), "an image that is taken for what is wanted stays"


@attacks
def test_the_network_the_images_and_the_global_random_state_stay_as_they_were(attack):
    network, images = linear((2, 6, 5)).train(), pictures(2, (2, 6, 5))
    before, same, state = fingerprint(network), images.clone(), torch.get_rng_state()
    found = attack(network, images, Goal(torch.tensor([0, 0])))
    assert fingerprint(network) == before
    assert torch.equal(images, same)
    assert torch.equal(found.originals, same)
    assert torch.equal(torch.get_rng_state(), state)


@attacks
@pytest.mark.parametrize("targeted", [False, True])
def test_a_batch_gives_what_singles_give_and_a_seed_the_same_again(attack, targeted, digits):
    network, images, targets = digits
    # In float32 a convolution rounds differently for another number of images, which can tip a choice between equals.
    network, images = copy.deepcopy(network).double(), eight_bit(images[:5].double())
    goal = Goal((targets[:5] + 1) % 10 if targeted else targets[:5], targeted)
    together = attack(network, images, goal, seed=4)
    for i in range(5):
        alone = attack(network, images[i : i + 1], Goal(goal.classes[i : i + 1], targeted), seed=4)
        assert torch.equal(alone.images[0], together.images[i])
        assert int(alone.queries) == int(together.queries[i])
    assert torch.equal(attack(network, images, goal, seed=4).images, together.images)
    assert not torch.equal(attack(network, images, goal, seed=5).images, together.images)


@attacks
def test_what_is_found_is_no_worse_than_the_image_and_reached_only_if_the_network_says_so(attack, digits):
    network, images, targets = digits
    images, goal = eight_bit(images[:60]), Goal(targets[:60])
    found = attack(network, images, goal)
    after = margin(network, found.images, goal)
    assert torch.equal(after > 0, found.reached)
    assert bool((after >= margin(network, images, goal) - 1e-4).all())
    assert torch.equal(eight_bit(found.images), found.images), "a PNG file keeps it"


def test_few_pixels_change_at_most_their_number(digits):
    network, images, targets = digits
    for pixels, seed in itertools.product((1, 2, 5), (0, 1)):
        attack = FewPixel(pixels=pixels, budget=300, population=40)
        found = attack(network, images[:20], Goal((targets[:20] + 3) % 10, targeted=True), seed=seed)
        changed = distances(found.originals, found.images)["l0"]
        assert int(changed.max()) == pixels, "an unreachable goal takes all it may"


@pytest.mark.parametrize(("shape", "pixels"), [((1, 7, 5), 1), ((3, 5, 4), 1), ((1, 7, 5), 4)])
@pytest.mark.parametrize("targeted", [False, True])
def test_the_best_pixels_of_a_linear_network_are_found_exactly(shape, pixels, targeted):
    network, images = linear(shape), pictures(3, shape)
    goal = Goal(torch.tensor([2, 2, 1]), True) if targeted else Goal(torch.zeros(3, dtype=torch.long))
    found = FewPixel(pixels=pixels, budget=2000)(network, images, goal)
    weights = network.module.weights.detach()
    best = torch.full((3,), -torch.inf)
    for i, rival in itertools.product(range(3), (1, 2)):
        wanted = int(goal.classes[i]) if targeted else rival
        slope = (weights[:, wanted] - weights[:, 0]).view(shape)
        gain = torch.maximum(slope * (1 - images[i]), -slope * images[i]).sum(0).flatten()
        logits = network(images[i : i + 1])[0].detach()
        best[i] = torch.maximum(best[i], logits[wanted] - logits[0] + gain.topk(pixels).values.sum())
    torch.testing.assert_close(margin(network, found.images, goal), best, atol=1e-4, rtol=0)


class Hill(nn.Module):
    """Class 1 gains by one bright pixel: most at place (31, 12), and there by value 0.4."""

    def forward(self, images):
        y, x = torch.meshgrid(torch.arange(40.0), torch.arange(30.0), indexing="ij")
        near = torch.exp(-((y - 31) ** 2 + (x - 12) ** 2) / 128)
        score = (near * images[:, 0] * (0.8 - images[:, 0])).flatten(1).sum(1)
        return torch.stack([torch.ones_like(score), score], 1)


def test_evolution_climbs_to_a_place_and_a_value_that_no_first_draw_holds():
    network = Network(Hill(), (1, 40, 30), [0.0], [1.0], ("valley", "hill"))
    attack = FewPixel(budget=4000)
    for seed in range(3):
        found = attack(network, torch.zeros(1, 1, 40, 30), Goal(torch.tensor([0])), seed=seed).images[0, 0]
        assert found.nonzero().tolist() == [[31, 12]]
        assert round(float(found[31, 12]) * 255) == 102


def test_one_pixel_fools_a_digit_wherever_any_extreme_pixel_does_and_five_fool_most(digits):
    network, images, targets = digits
    images, goal = images[:40], Goal(targets[:40])
    one = FewPixel(budget=400)(network, images, goal)
    for i in range(40):
        every = images[i].repeat(64, 2, 1, 1).view(64, 2, 64).clone()
        places = torch.arange(64)
        every[places, 0, places], every[places, 1, places] = 0.0, 1.0
        margins = margin(network, every.view(-1, 1, 8, 8), Goal(goal.classes[i].repeat(128)))
        assert bool(one.reached[i]) >= bool((margins > 0.001).any())
    five = FewPixel(pixels=5, budget=1500)(network, images, goal)
    assert float(five.reached.float().mean()) > 0.9


@pytest.mark.parametrize("epsilon", [1 / 255, 8 / 255, 0.1, 1.0])
def test_a_genetic_attack_stays_within_its_ball_even_around_images_that_are_no_bytes(epsilon):
    images = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    attack = Genetic(epsilon=epsilon, budget=60)
    found = attack(linear((1, 9, 9)), images, Goal(torch.tensor([0, 0, 0]))).images
    apart = (found - images).abs().amax((1, 2, 3))
    assert bool((apart <= epsilon + 1e-6).all())
    assert bool((apart > 0).all())
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert torch.equal(eight_bit(found), found)


@pytest.mark.parametrize("targeted", [False, True])
def test_a_genetic_attack_comes_near_the_best_corner_of_the_ball(targeted):
    epsilon = 8 / 255
    network = linear((1, 8, 8), classes=2)
    images = torch.full((2, 1, 8, 8), 128 / 255)
    goal = Goal(torch.tensor([1, 1]), True) if targeted else Goal(torch.tensor([0, 0]))
    found = Genetic(epsilon=epsilon, budget=2500)(network, images, goal).images
    weights = network.module.weights.detach()
    best = epsilon * (weights[:, 1] - weights[:, 0]).abs().sum()
    gained = margin(network, found, goal) - margin(network, images, goal)
    assert float(gained.min() / best) > 0.96
    assert float(gained.max() / best) < 1.0001


def test_on_large_images_whole_blocks_change_as_one():
    images = torch.full((1, 2, 12, 10), 0.4)
    found = Genetic(epsilon=0.2, budget=50, cells=4)(linear((2, 12, 10)), images, Goal(torch.tensor([0]))).images
    assert sorted(set(found.flatten().tolist())) == pytest.approx([51 / 255, 153 / 255])
    signs = found > 0.4
    for y in range(0, 12, 3):
        assert torch.equal(signs[:, :, y : y + 3], signs[:, :, y : y + 1].expand(-1, -1, 3, -1))
    changes = (signs[..., 1:] != signs[..., :-1]).flatten(0, 2).any(0).nonzero()[:, 0]
    assert set(changes.tolist()) <= {1, 4, 6, 7, 2}
    assert len(changes) <= 3, "four cells have three borders"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FewPixel(pixels=0), "--pixels must be at least 1, got 0"),
        (lambda: FewPixel(population=3), "--population must be at least 4"),
        (lambda: FewPixel(budget=200, population=200), "--budget 200 .* at least 201"),
        (lambda: FewPixel(weight=0.0), "--weight"),
        (lambda: FewPixel(crossover=1.5), "--crossover is a share, from 0 to 1, got 1.5"),
        (lambda: FewPixel(fresh=-0.1), "--fresh is a share"),
        (lambda: Genetic(epsilon=0.001), "--epsilon must be from 1/255"),
        (lambda: Genetic(epsilon=float("nan")), "--epsilon"),
        (lambda: Genetic(population=1, budget=10), "--population must be at least 2"),
        (lambda: Genetic(budget=10, population=10), "--budget 10 .* at least 11"),
        (lambda: Genetic(mutation=2.0), "--mutation is a share"),
        (lambda: Genetic(cells=0), "--cells must be at least 1"),
    ],
)
def test_impossible_options_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_more_pixels_than_there_are_is_refused():
    with pytest.raises(InputError, match="--pixels 21 is more than the 20 that 5×4 images have"):
        FewPixel(pixels=21)(linear((1, 5, 4)), pictures(1, (1, 5, 4)), Goal(torch.tensor([0])))
