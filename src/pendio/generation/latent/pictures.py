"""Pictures of latent spaces."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pendio.generation.latent.codes import Codes
from pendio.generation.latent.directions import principal_directions
from pendio.generation.latent.mapping import MapError, Mapping
from pendio.pictures.figure import BLUE, COLORS, GREY, ORANGE, new_figure, to_png
from pendio.pictures.tiles import tiled

__all__ = ["draw_codes", "draw_map_errors", "draw_mapping", "plane_codes"]

_APART = 1.05
"""Two errors whose ratio is less need no line each."""


def plane_codes(corners: Tensor, side: int = 9) -> Tensor:
    """Codes ``(side², D)`` of the plane through three codes ``(3, D)``: the first is top left, the second top right and the
    third bottom left; rows first."""
    times = torch.linspace(0, 1, side, dtype=corners.dtype)
    across, down = corners[1] - corners[0], corners[2] - corners[0]
    plane = corners[0] + times[None, :, None] * across + times[:, None, None] * down
    return plane.flatten(0, 1)


def draw_codes(codes: Codes) -> bytes:
    """Codes in their two main components, a colour for each class: a PNG file."""
    directions, spreads = principal_directions(codes.values, 2)
    points = (codes.values - codes.values.mean(0)) @ directions.T
    if points.shape[1] == 1:
        points = torch.cat([points, torch.zeros_like(points)], 1)
    shares = spreads.square() / codes.values.var(0).sum().clamp(min=1e-12)
    figure = new_figure(5.6, 4.4)
    axes = figure.subplots()
    if codes.classes:
        for number, name in enumerate(codes.classes):
            part = points[codes.targets == number]
            axes.scatter(part[:, 0], part[:, 1], s=7, color=COLORS[number % len(COLORS)], label=name, linewidths=0)
        figure.legend(loc="outside right upper", frameon=False, markerscale=2.5, fontsize=8)
    else:
        axes.scatter(points[:, 0], points[:, 1], s=7, color=BLUE, linewidths=0)
    names = [f"component {index + 1} ({share:.0%})" for index, share in enumerate(shares.tolist())]
    axes.set(xlabel=names[0], ylabel=names[1] if len(names) > 1 else "")
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)


def draw_mapping(mapping: Mapping, count: int = 10) -> bytes:
    """Rows: originals, the source's reconstructions, the mapped ones, the target's own. A PNG file."""
    rows = (mapping.inputs, mapping.source, mapping.mapped, mapping.own)
    columns = min(count, len(mapping.inputs))
    return tiled(torch.cat([images[:columns].clamp(0, 1) for images in rows]), columns=columns)


def draw_map_errors(errors: Sequence[MapError]) -> bytes:
    """Held-out errors against the size of the support: a PNG file."""
    figure = new_figure(9, 3.2)
    left, right = figure.subplots(1, 2)
    sizes = [error.support for error in errors]
    left.plot(sizes, [error.mapped for error in errors], color=BLUE, marker="o", label="mapped (M)")
    left.axhline(errors[-1].own, color=GREY, linestyle=":", label="target's own")
    if errors[-1].cut > _APART * errors[-1].own:
        left.axhline(errors[-1].cut, color=GREY, linestyle="-.", label="target's own, codes cut")
    left.axhline(errors[-1].source, color=ORANGE, linestyle="--", label="source's own (R)")
    left.set(ylabel="mean squared error of examples")
    left.legend(frameon=False)
    right.plot(sizes, [error.latent for error in errors], color=BLUE, marker="o")
    right.set(ylabel="error of codes (L), 1 = the mean code")
    for axes in (left, right):
        axes.set(xlabel="support: examples the map was fitted on", ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
