import pytest
import torch

from pendio.ascent import objectives
from pendio.ascent.reading import Reader
from pendio.ascent.spoken import class_number, parse_objective
from pendio.errors import InputError

from .networks import SHAPE, deep, random

NETWORK = deep().eval()


def value(objective, count=1):
    images = random(1, *SHAPE, seed=7).expand(count, -1, -1, -1)
    return objective(Reader(NETWORK, objective.layers)(images))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("class:2", objectives.logit(2)),
        ("class:CLASS 2", objectives.logit(2)),
        ("second:3", objectives.channel("second", 3)),
        ("second:3@", objectives.neuron("second", 3)),
        ("second:3@1,2", objectives.neuron("second", 3, (1, 2))),
        ("second", objectives.whole("second")),
        ("second:1 + 0.5*class:3", objectives.channel("second", 1) + 0.5 * objectives.logit(3)),
        ("second:1+-2*first", objectives.channel("second", 1) - 2 * objectives.whole("first")),
    ],
)
def test_objectives_read_as_they_are_written(text, meant):
    spoken = parse_objective(NETWORK, text, SHAPE)
    assert len(spoken.names) == 1
    assert torch.equal(value(spoken.objective), value(meant))


def test_a_range_gives_each_image_its_own_unit():
    spoken = parse_objective(NETWORK, "second:1-3 + class:0", SHAPE)
    assert spoken.names == ("second:1 + class 0", "second:2 + class 0", "second:3 + class 0")
    single = [value(parse_objective(NETWORK, f"second:{number} + class:0", SHAPE).objective) for number in (1, 2, 3)]
    assert torch.allclose(value(spoken.objective, 3), torch.cat(single))
    assert len(parse_objective(NETWORK, "second:all", SHAPE).names) == 5
    assert len(parse_objective(NETWORK, "class:all", SHAPE).names) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class:clas 1", "there is no class 'clas 1'; did you mean 'class 1'?"),
        ("class:4", "there is no class 4: they are numbered 0 to 3"),
        ("class", "'class' names no class"),
        ("second:three", "'second:three' names no unit"),
        ("half*second:1", "'half' in 'half*second:1' is no weight"),
        ("second:1-2 + first:0-2", "asks for 2 and 3 images at once"),
        ("second:5-2", "asks for -2 channels"),
        ("secnd:all", "did you mean 'second'?"),
    ],
)
def test_what_cannot_be_read_is_explained(text, message):
    with pytest.raises(InputError) as error:
        parse_objective(NETWORK, text, SHAPE)
    assert message in str(error.value)


def test_classes_have_names_and_numbers():
    assert class_number(NETWORK, "3") == class_number(NETWORK, "class 3") == 3
