import warnings

import pytest
import torch

from pendio.pictures.listening import draw_listening, draw_listening_numbers

from ..conftest import pixels


def share(picture, hue):
    """Share of pixels that are orange, or blue."""
    red, blue = picture[..., 0].int(), picture[..., 2].int()
    return float((red - blue > 90 if hue == "orange" else blue - red > 60).float().mean())


def place(picture, hue):
    red, blue = picture[..., 0].int(), picture[..., 2].int()
    rows, columns = (red - blue > 90 if hue == "orange" else blue - red > 60).nonzero(as_tuple=True)
    return float(rows.float().mean()) / picture.shape[0], float(columns.float().mean()) / picture.shape[1]


def drawn(values, names=None):
    return pixels(draw_listening(names or ["a"] * len(values), {"measure": torch.tensor(values)}))


def test_what_speaks_for_it_is_orange_and_what_against_blue():
    picture = drawn([2.0] + [0.0] * 38 + [-2.0])
    assert place(picture, "orange")[1] < 0.1
    assert place(picture, "blue")[1] > 0.9
    assert share(picture, "orange") == pytest.approx(share(picture, "blue"), rel=0.4)


def test_strength_is_relative_to_the_largest():
    loud, quiet = drawn([100.0, 10.0] + [0.0] * 30), drawn([1.0, 0.1] + [0.0] * 30)
    assert (loud.int() - quiet.int()).abs().max() <= 2
    assert share(drawn([1.0, 1.0] + [0.0] * 30), "orange") > 1.5 * share(quiet, "orange")


def test_nothing_heard_is_white():
    assert share(drawn([0.0] * 9), "orange") == share(drawn([0.0] * 9), "blue") == 0


def test_each_measure_has_a_block_and_a_scale_of_its_own():
    both = {"one": torch.tensor([1.0] + [0.0] * 9), "two": torch.tensor([0.0] * 9 + [-0.001])}
    picture = pixels(draw_listening(["a"] * 10, both))
    assert place(picture, "orange")[0] < 0.5 < place(picture, "blue")[0]


def test_lines_are_broken():
    one, three = drawn([1.0] * 80), drawn([1.0] * 240)
    assert three.shape[1] == one.shape[1]
    assert three.shape[0] > 1.5 * one.shape[0]
    assert drawn([1.0] * 8, ["a", "\\n"] * 4).shape[0] > 1.5 * drawn([1.0] * 8).shape[0]


def test_bars_of_numbers_stand_at_their_steps():
    values = torch.zeros(50)
    values[2], values[47] = 1.0, -1.0
    picture = pixels(draw_listening_numbers(torch.zeros(50, 1), {"measure": values}))
    below = picture[picture.shape[0] // 2 :]
    assert place(below, "orange")[1] < 0.3
    assert place(below, "blue")[1] > 0.7


def test_drawing_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn([1.0, -1.0], ["$\\frac$", "_$_"])
        draw_listening_numbers(torch.rand(5, 3), {"measure": torch.zeros(5)})
