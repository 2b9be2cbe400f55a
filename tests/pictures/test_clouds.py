import numpy as np
import pytest

from pendio.pictures.clouds import _principal, draw_cloud

from ..conftest import pixels


def panels(picture, count):
    """The parts of a picture, without the scales beside them."""
    width = picture.shape[1] // count
    return [picture[:, width * number + 70 : width * number + round(0.81 * width)] for number in range(count)]


def colored(panel):
    """``(H, W)``: which pixels are neither grey nor white."""
    spread = panel.max(2).values.int() - panel.min(2).values.int()
    return spread > 25


def test_each_place_that_was_visited_is_seen():
    """Four places, one of them visited a thousand times as often."""
    places = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    points = np.concatenate([places, np.repeat(places[:1], 999, 0)])
    (panel,) = panels(pixels(draw_cloud(points)), 1)
    mask = colored(panel)
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    gaps = [(found.diff() > 20).sum().item() for found in (rows, columns)]
    assert gaps == [1, 1]
    top, left = rows.median(), columns.median()
    corners = [mask[:top, :left], mask[:top, left:], mask[top:, :left], mask[top:, left:]]
    assert min(corner.sum() for corner in corners) > 10


def test_values_are_means_of_their_cells():
    points = np.array([[0.0, 0], [0, 0], [5, 0], [5, 0], [5, 1]])
    bright = np.array([0.0, 10, 10, 10, 0])
    _, panel = panels(pixels(draw_cloud(points, bright)), 2)
    mask = colored(panel)
    middle = mask.any(0).nonzero()[:, 0].float().mean().int()
    low = panel[len(panel) // 2 :]
    yellow = (low[..., 0].int() > 230) & (low[..., 1].int() > 210) & (low[..., 2].int() < 90)
    teal = (low[..., 0].int() < 60) & (low[..., 1].int() > 120) & (low[..., 2].int() > 110)
    assert yellow[:, middle:].sum() > 10
    assert not yellow[:, :middle].any()
    assert teal[:, :middle].sum() > 10


def test_counts_alone_are_one_panel():
    points = np.random.default_rng(0).normal(size=(500, 2))
    alone, both = pixels(draw_cloud(points)), pixels(draw_cloud(points, np.arange(500.0)))
    assert both.shape[1] > 1.8 * alone.shape[1]


def test_many_numbers_are_drawn_in_the_plane_in_which_they_differ_most():
    random = np.random.default_rng(0)
    hidden = random.normal(size=(4_000, 2)) * [3, 1]
    directions = np.linalg.qr(random.normal(size=(5, 5)))[0][:, :2]
    points = hidden @ directions.T * [1, 10, 100, 1, 1] + 7  # units do not count
    plane, labels = _principal(points)
    scaled = (points - points.mean(0)) / points.std(0)
    singular = np.linalg.svd(scaled, compute_uv=False)
    np.testing.assert_allclose(plane.std(0), singular[:2] / np.sqrt(4_000), rtol=1e-9)
    assert abs(np.corrcoef(plane.T)[0, 1]) < 1e-9
    shares = singular**2 / (singular**2).sum()
    assert labels == (f"first component ({shares[0]:.0%})", f"second component ({shares[1]:.0%})")


@pytest.mark.parametrize("points", [np.zeros((3, 2)), np.zeros((4, 5)), np.ones((1, 2)), np.eye(3)])
def test_observations_that_hardly_differ_are_drawn(points, recwarn):
    picture = pixels(draw_cloud(points, np.ones(len(points))))
    assert all(colored(panel).sum() > 10 for panel in panels(picture, 2))
    assert not recwarn.list


def test_a_few_far_ones_leave_room_for_the_others():
    random = np.random.default_rng(0)
    points = random.normal(size=(5_000, 2))
    points[0] = 1e6
    (panel,) = panels(pixels(draw_cloud(points)), 1)
    assert colored(panel).float().mean() > 0.2
