import pytest
import torch

from pendio.pictures.attention import draw_attention, draw_heads

from ..conftest import pixels


def dark(picture):
    """Where the picture is dark blue, as maps are where attention looks."""
    return (picture[..., 2].int() - picture[..., 0].int()) > 90


def centre(picture):
    """Mean position of what is dark, as shares of the picture's height and width."""
    rows, columns = dark(picture).nonzero(as_tuple=True)
    return float(rows.float().mean()) / picture.shape[0], float(columns.float().mean()) / picture.shape[1]


def one_at(row, column, shape=(10, 20)):
    weights = torch.zeros(shape)
    weights[row, column] = 1
    return weights


def names(count):
    return ["a"] * count


def test_rows_go_down_and_columns_across():
    down, across = centre(pixels(draw_attention(one_at(9, 0), names(10), names(20))))
    assert down > 0.75
    assert across < 0.25
    down, across = centre(pixels(draw_attention(one_at(0, 19), names(10), names(20))))
    assert down < 0.4
    assert across > 0.8


def test_each_head_has_a_map_of_its_own():
    weights = torch.zeros(3, 10, 20)
    weights[1] = 1
    down, across = centre(pixels(draw_heads(weights, names(10), names(20))))
    assert down < 0.5 < across
    weights = weights.roll(1, 0)
    down, across = centre(pixels(draw_heads(weights, names(10), names(20))))
    assert across < 0.5 < down


def test_maps_are_on_one_scale_from_0_to_1():
    assert not dark(pixels(draw_attention(torch.full((4, 4), 0.2), names(4), names(4)))).any()


def test_long_sequences_make_pictures_of_bounded_size():
    picture = pixels(draw_attention(torch.rand(500, 700), names(500), names(700)))
    assert max(picture.shape) <= 1100


def test_signs_of_mathematics_are_drawn_as_they_are():
    draw_attention(torch.ones(2, 2), ["$", "$\\frac$"], ["a^{", "_$_$"], "$x_{$")


def test_names_must_be_as_many_as_the_weights():
    with pytest.raises(ValueError, match=r"weights of shape \(1, 2, 3\) for 1 maps of 3 × 2"):
        draw_attention(torch.ones(2, 3), names(3), names(2))
