import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from pendio.pictures.figure import BLUE, COLORS, GREY, ORANGE
from pendio.pictures.learning import draw_learning, draw_seeds

from ..conftest import pixels


def of_color(picture, color, tolerance=0.06):
    """``(H, W)``: which pixels have it."""
    return (picture.float() / 255 - torch.tensor(to_rgb(color))).abs().max(2).values < tolerance


def half(picture, side):
    """Left or right half, without the legends above."""
    middle = picture.shape[1] // 2
    return (picture[:, :middle] if side == "left" else picture[:, middle:])[34:]


def height(mask, at):
    """Middle of a curve ``at`` a share of its width, from 0 below to 1 above; NaN where there is none."""
    columns = mask.any(0).nonzero()[:, 0]
    column = columns[round(at * (len(columns) - 1))]
    rows = mask[:, column].nonzero()[:, 0].float()
    return 1 - (rows.mean().item() / len(mask))


def history(count=9, **columns):
    """Evaluations every 1,000 steps, of rising returns."""
    base = {"env_steps": lambda n: 1_000.0 * n, "val_return": lambda n: 10.0 * n, "val_return_sd": lambda n: 8.0}
    return [{name: rule(n) for name, rule in (base | columns).items()} for n in range(1, count + 1)]


def pale(color, alpha=0.18):
    return tuple(1 - alpha * (1 - value) for value in to_rgb(color))


def test_returns_stand_left_with_their_spread():
    left = half(pixels(draw_learning(history(train_return=lambda n: 5.0 * n))), "left")
    measured, learned = of_color(left, ORANGE), of_color(left, BLUE)
    assert height(measured, 1) > height(learned, 1) > height(learned, 0)
    band = of_color(left, pale(ORANGE), 0.02)
    assert band.sum() > 20 * measured.sum() / 9
    column = band.any(0).nonzero()[:, 0].median()
    rows, line = band[:, column].nonzero()[:, 0], of_color(left, ORANGE)[:, column].nonzero()[:, 0].float().mean()
    assert rows.min() < line < rows.max()
    assert abs((rows.min() + rows.max()) / 2 - line) < 3


def test_an_exact_return_is_drawn_instead_of_the_sampled():
    exact = history(val_exact_return=lambda n: 100.0 - 10 * n, train_return=lambda n: 10.0 * n)
    left = half(pixels(draw_learning(exact)), "left")
    measured = of_color(left, ORANGE)
    assert height(measured, 0) > height(measured, 1)  # falls, where the sampled one rises
    assert of_color(left, pale(ORANGE), 0.02).sum() < 200


def test_gaps_are_bridged():
    """Epochs in which no episode ended have no return."""
    records = history(train_return=lambda n: 5.0 * n)
    for record in records[1::2]:
        del record["train_return"]
    records[2]["train_return"] = None
    left = half(pixels(draw_learning(records)), "left")
    columns = of_color(left, BLUE).any(0).nonzero()[:, 0]
    assert len(columns) > 0.9 * (columns.max() - columns.min())


def test_the_optimum_and_the_best_evaluation_are_marked():
    records = history(val_exact_return=lambda n: 10.0 * n)
    plain = lines(half(pixels(draw_learning(records)), "left"))
    records[2]["best"] = records[6]["best"] = True
    across, down = lines(half(pixels(draw_learning(records, 120.0)), "left"))
    assert (len(across), len(down)) == (len(plain[0]) + 1, len(plain[1]) + 1) == (2, 2)
    left = half(pixels(draw_learning(records, 120.0)), "left")
    curve = of_color(left, ORANGE)
    assert across[0] < curve.any(1).nonzero()[:, 0].min()
    columns = curve.any(0).nonzero()[:, 0].float()
    assert (down[1] - columns.min()) / (columns.max() - columns.min()) == pytest.approx(6 / 8, abs=0.02)


def lines(picture):
    """Rows and columns, a third of which is drawn upon: the axes, and lines from side to side."""
    drawn = picture.float().mean(2) < 245
    found = [(drawn.float().mean(along) > 0.33).nonzero()[:, 0] for along in (1, 0)]
    return [
        [place.item() for place, before in zip(each, [-9, *each], strict=False) if place - before > 2] for each in found
    ]


@pytest.mark.parametrize(("first", "log"), [(1.0, True), (3.0, False)])
def test_errors_that_fall_far_are_drawn_by_orders_of_magnitude(first, log):
    """Ten to the minus n is a straight line on one, and lies on the ground of the other."""
    errors = (lambda n: 10.0 ** (1 - n / 2)) if log else (lambda n: first - 0.3 * n)
    right = half(pixels(draw_learning(history(val_q_error=errors))), "right")
    curve = of_color(right, ORANGE)
    assert height(curve, 0.5) == pytest.approx((height(curve, 0.02) + height(curve, 0.98)) / 2, abs=0.02)


def test_errors_that_vanish_are_still_drawn():
    right = half(pixels(draw_learning(history(val_q_error=lambda n: 0.0 if n == 9 else 10.0**-n))), "right")
    assert of_color(right, ORANGE).any(0).sum() > 200


def test_what_was_expected_stands_beside_what_came():
    columns = {"val_expected": lambda n: 30.0 + n, "val_discounted": lambda n: 20.0 - n}
    right = half(pixels(draw_learning(history(**columns))), "right")
    assert height(of_color(right, BLUE), 1) > height(of_color(right, ORANGE), 1)


def test_exploration_has_an_axis_of_its_own():
    columns = {"val_expected": lambda n: 30.0 + n, "epsilon": lambda n: 1 - n / 10}
    right = half(pixels(draw_learning(history(**columns))), "right")
    plain = half(pixels(draw_learning(history(val_expected=columns["val_expected"]))), "right")
    assert of_color(right, GREY).sum() > of_color(plain, GREY).sum() + 400
    rows = []
    for epsilon in (0.0, 0.5, 1.0):
        levels = history(val_expected=columns["val_expected"], epsilon=lambda n, epsilon=epsilon: epsilon)
        middle = half(pixels(draw_learning(levels)), "right")[:, 150:350]
        rows.append(of_color(middle, GREY, 0.2).sum(1).argmax().item())
    assert rows[0] > rows[1] > rows[2]
    assert abs(rows[0] + rows[2] - 2 * rows[1]) <= 3
    assert rows[2] < 30


def test_legends_leave_the_curves_alone():
    """Curves that fill their axes from corner to corner are seen whole."""
    columns = {"train_return": lambda n: 100.0 * (n % 2), "val_exact_return": lambda n: 100.0 * (1 - n % 2)}
    left = half(pixels(draw_learning(history(**columns), 100.0)), "left")
    for color in (BLUE, ORANGE):
        found = of_color(left, color).any(0).nonzero()[:, 0]
        assert len(found) > 0.95 * (found.max() - found.min())


def test_a_single_evaluation_is_a_point():
    columns = {"train_return": lambda n: 5.0, "val_expected": lambda n: 3.0, "val_discounted": lambda n: 4.0}
    picture = pixels(draw_learning(history(1, **columns)))
    for side in ("left", "right"):
        for color in (BLUE, ORANGE):
            assert 10 < of_color(half(picture, side), color).sum() < 200


def runs(*levels, count=9, start=1):
    return [[{"env_steps": 1_000.0 * n, "y": level} for n in range(start, start + count)] for level in levels]


def drawn(groups):
    return pixels(draw_seeds(groups, "env_steps", "y", ("steps", "return")))[34:]


def test_a_group_is_its_mean_between_its_extremes():
    picture = drawn({"a": runs(0.0, 1.0, 5.0), "b": runs(7.0)})
    band = of_color(picture, pale(COLORS[0], 0.13), 0.02)
    rows = band.any(1).nonzero()[:, 0]
    mean = of_color(picture, COLORS[0])
    line = mean.sum(1).argmax()
    share = (rows.max() - line) / (rows.max() - rows.min())
    assert share.item() == pytest.approx(2 / 5, abs=0.03)
    single = of_color(picture, COLORS[1])
    assert single.sum(1).argmax() < rows.min()
    assert not of_color(picture, pale(COLORS[1], 0.13), 0.02).any()


def test_no_bend_of_a_mean_is_cut():
    """A peak of one evaluation keeps its height."""
    peak = [[{"env_steps": n, "y": 100.0 * (n == 7)} for n in range(1, 12)]] * 2
    level = [[{"env_steps": n, "y": 100.0} for n in range(1, 12)]]
    picture = drawn({"a": peak, "b": level})
    top = of_color(picture, COLORS[0]).any(1).nonzero()[:, 0].min()
    assert abs(top - of_color(picture, COLORS[1]).any(1).nonzero()[:, 0].min()) < 5


def test_a_mean_is_drawn_where_all_runs_have_been():
    picture = drawn({"a": [*runs(0.0), *runs(1.0, count=3, start=5)]})
    band = of_color(picture, pale(COLORS[0], 0.13), 0.02).any(0).nonzero()[:, 0]
    lines = (picture.float().mean(2) < 250)[: len(picture) // 2 + 60].any(0).nonzero()[:, 0]
    assert (band.max() - band.min()) / (lines.max() - lines.min()) == pytest.approx(2 / 8, abs=0.06)


@pytest.mark.parametrize(
    "histories", [runs(1.0, 2.0, count=1), [*runs(0.0, count=2), *runs(1.0, count=2, start=7)], runs(3.0, count=1)]
)
def test_runs_that_are_short_or_do_not_meet_are_still_seen(histories):
    picture = drawn({"a": histories})
    rows = (picture.float() - 255 * torch.tensor(to_rgb(COLORS[0]))).abs().max(2).values < 90
    assert rows.sum() > 15


def test_records_without_a_number_are_left_out():
    histories = runs(1.0, 1.0)
    histories[0][4]["y"], histories[1][2] = float("nan"), {"env_steps": 3_000.0}
    np.testing.assert_array_equal(drawn({"a": histories}), drawn({"a": runs(1.0, 1.0)}))
