import functools

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from pendio.errors import InputError
from pendio.pictures.figure import BLUE, ORANGE
from pendio.pictures.worlds import ENDS, INK, Panel, draw_table, draw_world, has_directions

from ..conftest import pixels

ACTIONS = ("left", "down", "right", "up")


def of_color(picture, color):
    """``(H, W)``: which pixels have it."""
    return (picture.float() / 255 - torch.tensor(to_rgb(color))).abs().max(2).values < 0.08


def box(mask):
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return rows.min().item(), rows.max().item() + 1, columns.min().item(), columns.max().item() + 1


@functools.cache
def grid_box(rows, columns):
    """Where the grid lies in a picture of values from 0 to 1."""
    count = rows * columns
    return box(
        of_color(pixels(draw_world([Panel("", [0.0] * count)], (rows, columns), letters="G" * count)), ENDS["G"])
    )


def spot(picture, grid, row, column):
    """Mean colour around a place, in cells from the grid's upper left corner."""
    top, bottom, left, right = grid_box(*grid)
    y, x = top + (bottom - top) * row / grid[0], left + (right - left) * column / grid[1]
    return picture[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3].float().mean((0, 1))


@pytest.mark.parametrize(("name", "side"), [("left", 2), ("right", 3), ("up", 0), ("down", 1)])
def test_an_arrow_points_where_its_action_leads(name, side):
    picture = pixels(draw_world([Panel("", [1.0], [0])], (1, 1), (name,)))
    arrow = of_color(picture, ORANGE)
    top, bottom, left, right = box(arrow)
    arrow = arrow[top:bottom, left:right]
    across = arrow.sum(0) if side >= 2 else arrow.sum(1)
    assert max(arrow.shape) > 1.5 * min(arrow.shape)
    head = across.float().argmax().item() / len(across)
    assert head > 0.5 if side in (1, 3) else head < 0.5


def test_likelier_actions_have_longer_arrows():
    picture = pixels(draw_world([Panel("", [1.0], [[0.7, 0.0, 0.3, 0.0]])], (1, 1), ACTIONS))
    top, bottom, left, right = box(of_color(picture, ORANGE))
    grid = grid_box(1, 1)
    middle = (grid[2] + grid[3]) / 2
    assert middle - left > 1.2 * (right - middle) > 0
    assert bottom - top < 0.5 * (right - left)


def test_states_run_row_by_row_and_ends_have_their_colours():
    letters = ("S", "", "#", "", "H", "G")
    picture = pixels(draw_world([Panel("", np.linspace(0, 1, 6))], (2, 3), letters=letters))
    for state, mark in enumerate(letters):
        found = spot(picture, (2, 3), state // 3 + 0.2, state % 3 + 0.8)
        for end, color in ENDS.items():
            near = (found / 255 - torch.tensor(to_rgb(color))).abs().max() < 0.02
            assert near == (mark == end), (state, end)


def test_larger_values_are_darker_and_ends_do_not_count():
    picture = pixels(draw_world([Panel("", [0.0, 1.0, 1000.0])], (1, 3), letters=("", "", "G")))
    light, dark = (spot(picture, (1, 3), 0.2, state + 0.8).mean() for state in range(2))
    assert light - dark > 90


@pytest.mark.parametrize("best", range(4))
def test_a_triangle_is_coloured_by_the_action_that_leads_there(best):
    q = np.zeros((1, 4))
    q[0, best] = 1.0
    picture = pixels(draw_world([Panel("", q.max(1), q=q)], (1, 1), ACTIONS))
    shades = [float(spot(picture, (1, 1), *place).mean()) for place in ((0.6, 0.2), (0.8, 0.6), (0.6, 0.8), (0.2, 0.6))]
    assert int(np.argmin(shades)) == best
    assert sorted(shades)[1] - min(shades) > 90


def test_an_action_far_worse_than_all_others_does_not_bleach_them():
    q = np.array([[1.0, 2.0, 3.0, 4.0], [-1e6, 6.0, 7.0, 8.0]])
    picture = pixels(draw_world([Panel("", q.max(1), q=q)], (1, 2), ACTIONS))
    left, up, far = (spot(picture, (1, 2), *place).mean() for place in ((0.6, 0.2), (0.2, 0.6), (0.6, 1.2)))
    assert left - up > 10
    assert far - left > -1


def test_a_value_is_written_and_coloured_in_its_own_cell():
    values = np.zeros(6)
    values[1] = 1.0
    picture = pixels(draw_world([Panel("", values)], (2, 3)))
    assert spot(picture, (2, 3), 0.2, 1.8).mean() < spot(picture, (2, 3), 1.2, 0.8).mean() - 90
    for state in (1, 4):
        marks = ["G"] * 6
        marks[state] = ""
        ink = of_color(pixels(draw_world([Panel("", np.zeros(6))], (2, 3), letters=marks)), INK)
        y, x = (axis.float().mean().item() for axis in ink.nonzero().T)
        top, bottom, left, right = grid_box(2, 3)
        assert (int((y - top) / (bottom - top) * 2), int((x - left) / (right - left) * 3)) == divmod(state, 3)


def test_panels_share_a_scale():
    one, two = np.array([0.0, 1.0]), np.array([0.0, 10.0])
    alone, beside = (
        of_color(pixels(draw_world([Panel("", values) for values in panels], (1, 2))), BLUE).sum()
        for panels in ([one], [one, two])
    )
    assert beside < 1.5 * alone, "only the 10 is dark, and the scale"


def test_a_large_world_makes_a_picture_of_bounded_size():
    picture = pixels(draw_world([Panel("", np.arange(10_000.0), np.zeros(10_000, dtype=int))], (100, 100), ACTIONS))
    assert max(picture.shape) <= 1500
    assert of_color(picture, ORANGE).sum() == 0
    assert of_color(picture, INK).sum() == 0, "no numbers"
    assert max(pixels(draw_table(np.random.default_rng(0).random((6_000, 30)))).shape) <= 1800


def test_a_table_is_dotted_at_its_best_actions():
    q = np.zeros((200, 3))
    q[:, 2] = 1.0
    dots = of_color(pixels(draw_table(q, ("a", "b", "c"))), ORANGE)
    last = dots.any(1).nonzero()[:, 0]
    assert dots.sum() > 1000
    assert len(last) < 20, "one row of dots in each of two strips"


def test_dots_follow_the_states_from_strip_to_strip():
    q = np.zeros((200, 3))
    q[:, 0] = 1.0
    q[100:, 2] = 2.0

    def heights(table):
        """Of the dots in the upper and in the lower strip."""
        lines = of_color(pixels(draw_table(table)), ORANGE).any(1).nonzero()[:, 0]
        gap = (lines.diff() > 20).nonzero()[0, 0] + 1
        return lines[:gap].float().mean().item(), lines[gap:].float().mean().item()

    first, second = heights(q)
    level = heights(np.tile([1.0, 0.0, 0.0], (200, 1)))
    assert first == pytest.approx(level[0], abs=2)
    assert second - level[1] > 25


def test_a_small_table_is_written_with_its_names():
    small = pixels(draw_table([[1.0, 2.0]], ("a", "b"), ("only",), "title"))
    assert of_color(small, ORANGE).sum() == 0
    assert (small != pixels(draw_table([[1.0, 3.0]], ("a", "b"), ("only",), "title"))).any()


def test_directions_are_known_by_their_names():
    assert has_directions(("North", "south", "EAST", "west"))
    assert has_directions(("left", "down", "right", "north"))
    assert not has_directions(("left", "down", "right"))
    assert not has_directions(("left", "down", "right", "west"))
    assert not has_directions(("left", "down", "right", "jump"))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: draw_world([Panel("", [1.0, 2.0])], (1, 1)),
        lambda: draw_world([Panel("", [1.0])], (1, 1), letters=("S", "G")),
        lambda: draw_world([Panel("", [1.0], q=[[1.0, 2.0]])], (1, 1), ("left", "right")),
        lambda: draw_world([Panel("", [1.0], q=[[1.0] * 4])], (1, 1), ("left", "down", "right", "jump")),
        lambda: draw_world([Panel("", [1.0], q=[[1.0] * 3])], (1, 1), ACTIONS),
        lambda: draw_table([1.0, 2.0]),
        lambda: draw_table([[1.0, 2.0]], ("a",)),
        lambda: draw_table([[1.0, 2.0]], ("a", "b"), ("s", "t")),
    ],
)
def test_what_does_not_fit_is_refused(draw):
    with pytest.raises(InputError):
        draw()
