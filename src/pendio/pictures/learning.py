"""How agents learned: returns over the steps they played."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, NullFormatter

from pendio.pictures.figure import BLUE, COLORS, GREY, ORANGE, new_figure, to_png

__all__ = ["draw_learning", "draw_seeds"]


def draw_learning(history: Sequence[Mapping[str, Any]], optimal: float | None = None) -> bytes:
    """Returns over steps, of the episodes played to learn and of those played to measure; beside them what is unsure.

    Args:
        history: records with ``env_steps``, ``val_return``, ``val_return_sd``, and where there are such, ``train_return``,
            ``epsilon``, ``val_exact_return``, which is drawn instead of the episodes' mean, ``val_q_error``,
            ``val_expected`` and ``val_discounted``.
        optimal: the best return there can be, where it is known.
    """
    figure = new_figure(9, 3.6)
    returns, beside = figure.subplots(1, 2)
    _plot(returns, history, "train_return", BLUE, "while learning")
    if _has(history, "val_exact_return"):
        _plot(returns, history, "val_exact_return", ORANGE, "at its best, exactly")
    else:
        steps, mean, sd = (_column(history, name) for name in ("env_steps", "val_return", "val_return_sd"))
        returns.fill_between(steps, mean - sd, mean + sd, color=ORANGE, alpha=0.18, linewidth=0)
        _plot(returns, history, "val_return", ORANGE, "at its best, ± sd")
    if optimal is not None:
        returns.axhline(optimal, color=GREY, linestyle="--", linewidth=1, label="optimum")
    best = [record for record in history if record.get("best")]
    if best:
        returns.axvline(best[-1]["env_steps"], color=GREY, linestyle=":", linewidth=1)
    returns.set_ylabel("return")
    _draw_beside(beside, history)
    for axes in (returns, beside):
        axes.set_xlabel("steps played")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        _legend_above(axes)
    return to_png(figure)


def _draw_beside(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """How far the values are from the truth where it is known; what was expected and what came elsewhere; and ε."""
    if _has(history, "val_q_error"):
        _plot(axes, history, "val_q_error", ORANGE, "largest error of Q")
        axes.set_ylabel("‖Q − Q*‖∞")
        errors = _column(history, "val_q_error")
        errors = errors[errors > 0]  # an error of 0 leads the line out of a logarithmic axis
        if len(errors) and errors.max() > 20 * errors.min():
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
    else:
        _plot(axes, history, "val_expected", BLUE, "expected")
        _plot(axes, history, "val_discounted", ORANGE, "came")
        axes.set_ylabel("discounted return")
    if _has(history, "epsilon"):
        share = axes.twinx()
        _plot(share, history, "epsilon", GREY, "")
        share.set_ylim(0, 1.05)
        share.set_ylabel("ε", color=GREY, rotation=0)
        share.tick_params(colors=GREY)
        share.spines["right"].set_color(GREY)
        share.spines["top"].set_visible(False)
        axes.plot([], [], color=GREY, linewidth=1, label="ε")


def draw_seeds(
    groups: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], x: str, y: str, labels: tuple[str, str]
) -> bytes:
    """Curves of several runs a group: their mean, the range between them, and each as a thin line.

    Mean and range are drawn where all runs of the group have been.

    Args:
        groups: name → histories of its runs.
        x, y: what of each record to draw; records without one of them are left out.
        labels: of the axes.
    """
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    for number, (name, histories) in enumerate(groups.items()):
        color = COLORS[number % len(COLORS)]
        curves = [curve for curve in (_curve(history, x, y) for history in histories) if len(curve[0])]
        count = f", {len(curves)} runs" if len(curves) > 1 else ""
        for xs, ys in curves:
            thin = len(curves) > 1
            axes.plot(xs, ys, color=color, linewidth=0.6 if thin else None, alpha=0.5 if thin else 1, marker=_dot(xs))
        axes.plot([], [], color=color, label=f"{name}{count}")
        if len(curves) > 1:
            shared, values = _together(curves)
            axes.fill_between(shared, values.min(0), values.max(0), color=color, alpha=0.13, linewidth=0)
            axes.plot(shared, values.mean(0), color=color, marker=_dot(shared))
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    _legend_above(axes, columns=1 if max(map(len, groups)) > 40 else 2)
    return to_png(figure)


def _together(curves: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The places ``(X,)`` where a curve has a point and all go through, and all curves there ``(C, X)``."""
    places = np.unique(np.concatenate([xs for xs, _ in curves]))
    shared = places[(places >= max(xs[0] for xs, _ in curves)) & (places <= min(xs[-1] for xs, _ in curves))]
    return shared, np.stack([np.interp(shared, xs, ys) for xs, ys in curves])


def _plot(axes: Axes, history: Sequence[Mapping[str, Any]], name: str, color: str, label: str) -> None:
    """A line through the records that have a number of this name; nothing where none has."""
    xs, ys = _curve(history, "env_steps", name)
    if len(xs):
        axes.plot(xs, ys, color=color, label=label, marker=_dot(xs), linewidth=1.0 if color == GREY else None)


def _curve(history: Sequence[Mapping[str, Any]], x: str, y: str) -> tuple[Any, Any]:
    xs, ys = _column(history, x), _column(history, y)
    known = np.isfinite(xs) & np.isfinite(ys)
    return xs[known], ys[known]


def _dot(xs: Any) -> str | None:
    return "o" if len(xs) < 3 else None


def _legend_above(axes: Axes, columns: int = 3) -> None:
    """A legend above the axes: inside it would hide a curve sooner or later."""
    if axes.get_legend_handles_labels()[1]:
        place: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(frameon=False, fontsize=8, ncols=columns, **place)


def _has(history: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(record.get(name) is not None for record in history)


def _column(history: Sequence[Mapping[str, Any]], name: str) -> Any:
    return np.array([record.get(name, np.nan) for record in history], dtype=np.float64)
