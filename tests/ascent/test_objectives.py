import pytest
import torch

from pendio.ascent import objectives
from pendio.ascent.reading import LOGITS, Readings
from pendio.errors import InputError

from .networks import random

MAPS, LOGIT = random(3, 4, 5, 6), random(3, 7, seed=1)
READ = Readings(random(3, 2, 8, 8, seed=2).sigmoid(), {"maps": MAPS, LOGITS: LOGIT}, torch.arange(3))


def test_each_unit_is_what_it_is_called():
    assert torch.allclose(objectives.channel("maps", 2)(READ), MAPS[:, 2].mean((1, 2)))
    each = objectives.channel("maps", torch.tensor([3, 0, 1]))(READ)
    assert torch.allclose(each, torch.stack([MAPS[0, 3].mean(), MAPS[1, 0].mean(), MAPS[2, 1].mean()]))
    assert torch.equal(objectives.neuron("maps", 1)(READ), MAPS[:, 1, 2, 3])
    assert torch.equal(objectives.neuron("maps", 1, (4, 0))(READ), MAPS[:, 1, 4, 0])
    assert torch.allclose(objectives.whole("maps")(READ), MAPS.square().mean((1, 2, 3)) / 2)
    assert torch.equal(objectives.logit(6)(READ), LOGIT[:, 6])
    assert torch.allclose(objectives.likelihood(6)(READ), LOGIT.softmax(1)[:, 6].log())
    axis = torch.tensor([0.0, 0.0, 3.0, 0.0]).double()
    assert torch.allclose(objectives.direction("maps", axis)(READ), MAPS[:, 2].mean((1, 2)))


def test_rows_name_the_images_that_are_left():
    left = Readings(READ.images[1:], {"maps": MAPS[1:]}, torch.tensor([1, 2]))
    numbers = torch.tensor([3, 0, 1])
    assert torch.equal(objectives.channel("maps", numbers)(left), objectives.channel("maps", numbers)(READ)[1:])
    wanted = random(3, 4, 5, 6, seed=5)
    assert torch.equal(objectives.matching("maps", wanted)(left), objectives.matching("maps", wanted)(READ)[1:])


def test_they_add_and_scale():
    first, second = objectives.channel("maps", 0), objectives.logit(3)
    both = 2 * first + second * 0.5 - objectives.contrast()
    value = 2 * first(READ) + 0.5 * second(READ) - objectives.contrast()(READ)
    assert torch.allclose(both(READ), value)
    assert both.layers == {"maps", LOGITS}


def test_grams_are_summed_over_places_and_masks_weigh_them():
    looped = torch.zeros(3, 4, 4, dtype=torch.float64)
    for n in range(3):
        for y in range(5):
            for x in range(6):
                looped[n] += torch.outer(MAPS[n, :, y, x], MAPS[n, :, y, x]) / 30
    assert torch.allclose(objectives.gram(MAPS), looped)
    mask = torch.zeros(1, 1, 5, 6)
    mask[..., :3] = 1
    assert torch.allclose(objectives.gram(MAPS, mask), objectives.gram(MAPS[..., :3]))


def test_a_style_is_nearest_to_itself_and_weighs_layers_alike():
    grams = {"maps": objectives.gram(MAPS[:1])}
    value = objectives.style(grams, {"maps": 2.0})(READ)
    assert value[0] == 0
    gap = (objectives.gram(MAPS[1:2]) - grams["maps"]).square().sum() / grams["maps"].square().sum()
    assert torch.allclose(value[1], -2 * gap)
    louder = Readings(READ.images, {"maps": 10 * MAPS}, READ.rows)
    assert torch.allclose(objectives.style({"maps": 100 * grams["maps"]}, {"maps": 2.0})(louder), value)


def test_penalties_of_known_images():
    flat, steps = torch.full((1, 1, 4, 4), 0.5), torch.zeros(1, 1, 4, 4)
    steps[..., 2:] = 1.0
    reads = [Readings(image, {}, torch.arange(1)) for image in (flat, steps)]
    assert [float(objectives.total_variation()(read)) for read in reads] == [0.0, 4 / 16]
    assert [float(objectives.contrast()(read)) for read in reads] == [0.0, 0.25]
    assert float(objectives.blur()(reads[0])) == pytest.approx(0, abs=1e-12)
    assert float(objectives.blur()(reads[1])) > 0.01


def test_diversity_is_least_for_copies():
    alike = Readings(READ.images, {"maps": MAPS[:1].repeat(3, 1, 1, 1)}, READ.rows)
    assert torch.allclose(objectives.diversity("maps")(alike), -torch.ones(3).double())
    assert (objectives.diversity("maps")(READ) > -0.99).all()
    single = Readings(READ.images[:1], {"maps": MAPS[:1]}, torch.arange(1))
    assert float(objectives.diversity("maps")(single)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (objectives.channel("maps", 4), "there is no channel of 'maps' 4: they are numbered 0 to 3"),
        (objectives.channel("maps", torch.tensor([0, -1, 1])), "there is no channel of 'maps' -1"),
        (objectives.logit(7), "there is no class 7: they are numbered 0 to 6"),
        (objectives.neuron("maps", 0, (5, 0)), "no place 5,0: its map is 5×6"),
        (objectives.neuron(LOGITS, 0), "has no map but gives (7,)"),
        (objectives.direction("maps", torch.ones(3)), "the direction has 3 numbers, and layer 'maps' 4 channels"),
        (objectives.matching("maps", torch.zeros(1, 4, 3, 3)), "the image to match must have the canvas' size"),
    ],
)
def test_what_is_not_there_is_named(objective, message):
    with pytest.raises(InputError) as error:
        objective(READ)
    assert message in str(error.value)
