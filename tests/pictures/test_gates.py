import pytest
import torch

from pendio.pictures.gates import Units, draw_units

from ..conftest import pixels


def centre(picture, hue):
    """Mean position of what is blue, or red, as shares of the picture's height and width."""
    red, blue = picture[..., 0].int(), picture[..., 2].int()
    found = blue - red > 90 if hue == "blue" else red - blue > 60
    rows, columns = found.nonzero(as_tuple=True)
    return float(rows.float().mean()) / picture.shape[0], float(columns.float().mean()) / picture.shape[1]


def one_at(step, unit, value=1.0):
    values = torch.zeros(20, 10)
    values[step, unit] = value
    return values


def drawn(values, signed=False, rows=1):
    """Without the bar of colours beside it, which has every colour."""
    picture = pixels(draw_units([Units("x", values, signed)] * rows, ["a"] * 20))
    return picture[:, : int(0.915 * picture.shape[1])]


def test_steps_go_across_and_units_down():
    down, across = centre(drawn(one_at(0, 9)), "blue")
    assert down > 0.5
    assert across < 0.2
    down, across = centre(drawn(one_at(19, 0)), "blue")
    assert down < 0.3
    assert across > 0.8


def test_signs_have_colours_and_zero_is_white():
    assert centre(drawn(one_at(3, 3, -1.0), signed=True), "blue")[1] < 0.5
    assert centre(drawn(one_at(15, 3, 1.0), signed=True), "red")[1] > 0.5
    assert float((drawn(torch.zeros(20, 10), signed=True).int().amin(2) > 240).float().mean()) > 0.8
    assert float((drawn(torch.zeros(20, 10)).int().amin(2) > 240).float().mean()) > 0.8


def redness(values):
    """Of the middle of the map."""
    picture = drawn(values, signed=True).int()
    red, _, blue = picture[picture.shape[0] // 3, picture.shape[1] // 2].tolist()
    return red - blue


def test_the_scale_ends_at_1_or_at_the_largest():
    # 0.3 is faint among numbers up to 1 even where it is the largest, and fainter among numbers up to 10.
    alone, among, end = torch.full((20, 10), 0.3), torch.full((20, 10), 0.3), torch.full((20, 10), 0.3)
    among[0], end[0] = 10.0, -1.0
    assert redness(alone) == redness(end)
    assert 0 < redness(among) < redness(alone) - 20
    assert torch.equal(drawn(torch.full((20, 10), 2.0)), drawn(torch.ones(20, 10)))


def test_maps_stand_below_each_other():
    one, three = drawn(one_at(3, 3)), drawn(one_at(3, 3), rows=3)
    assert three.shape[0] > 2.2 * one.shape[0]
    first = pixels(
        draw_units([Units("x", torch.ones(20, 10), False), Units("y", torch.zeros(20, 10), False)], ["a"] * 20)
    )
    assert centre(first[:, : int(0.915 * first.shape[1])], "blue")[0] < 0.5


def test_long_texts_and_signs_of_mathematics_are_drawn():
    picture = pixels(draw_units([Units("x", torch.rand(700, 32), False)], ["$\\frac$"] * 700))
    assert picture.shape[1] <= 1700


def test_names_must_be_as_many_as_the_steps():
    with pytest.raises(ValueError, match=r"3 names for maps of \[20\] steps"):
        draw_units([Units("x", torch.zeros(20, 10), False)], ["a"] * 3)
