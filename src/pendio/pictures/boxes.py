"""Boxes with their labels, drawn into images."""

import io
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pendio.pictures.palette import class_color

__all__ = ["Boxes", "draw_annotated", "draw_boxes", "draw_comparison"]

_NAME = 24
"""Characters of a class name that are written."""

_SHOWN_SIDE = 320
"""Pixels a side below which images are enlarged for comparisons, so that labels can be read."""

_COLUMNS, _MARGIN, _LINE = 4, 8, 20
"""Images in a row of a sheet; pixels between them, and for their captions."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Rectangle = tuple[float, float, float, float]


class Boxes(NamedTuple):
    """What is, or was found, in one image.

    Attributes:
        boxes: ``(K, 4)`` x1, y1, x2, y2 in pixels.
        labels: ``(K,)`` class numbers.
        scores: ``(K,)`` in [0, 1]; None of what is true.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor | None = None

    def texts(self, classes: Sequence[str]) -> list[str]:
        """What is written at each box: its class, and how sure it is."""
        names = [classes[label] for label in self.labels.tolist()]
        names = [name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in names]
        if self.scores is None:
            return names
        return [f"{name} {score:.0%}" for name, score in zip(names, self.scores.tolist(), strict=True)]


def draw_boxes(image: Tensor, found: Boxes, classes: Sequence[str]) -> Tensor:
    """The image with a frame around each box, in its class' colour, and its label; the surest lie on top.

    Args:
        image: uint8 ``(3, H, W)``.
        found: boxes in its pixels; parts outside of it are not drawn.
        classes: name of each class number.

    Returns:
        uint8 ``(3, H, W)``.
    """
    height, width = image.shape[1:]
    picture = Image.fromarray(image.permute(1, 2, 0).cpu().contiguous().numpy())
    draw = ImageDraw.Draw(picture)
    side = min(height, width)
    stroke, font = max(1, round(side / 240)), _font(max(9, min(28, round(side / 30))))
    boxes, colors = found.boxes.tolist(), [class_color(label) for label in found.labels.tolist()]
    order = range(len(boxes)) if found.scores is None else found.scores.argsort(stable=True).tolist()
    for number in order:
        frame = _frame(boxes[number], width, height)
        if frame is not None:
            draw.rectangle(frame, outline=colors[number], width=stroke)
    texts, taken = found.texts(classes), list[Rectangle]()
    # Frames first and labels from the surest on, so that no frame cuts through a label and the best places go to those.
    for number in reversed(order):
        frame = _frame(boxes[number], width, height)
        if frame is not None:
            _label(draw, texts[number], frame, colors[number], font, (width, height), taken)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _frame(box: Sequence[float], width: int, height: int) -> Rectangle | None:
    """The pixels of a box's border within the image; None where it lies outside."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(width), box[2]), min(float(height), box[3])
    if not (left < right and top < bottom):
        return None
    # Edges lie between pixels: a box to the edge x ends with the pixel x − 1.
    first, second = int(left), int(top)
    return first, second, max(first, round(right) - 1), max(second, round(bottom) - 1)


def _label(
    draw: ImageDraw.ImageDraw, text: str, frame: Rectangle, color: tuple[int, int, int], font: Font,
    size: tuple[int, int], taken: list[Rectangle],
) -> None:  # fmt: skip
    """Write a label on its colour: above the frame where there is room, else within, and below other labels."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 4, bottom - top + 3
    x = max(0.0, min(frame[0], size[0] - width))
    y = frame[1] - height if frame[1] >= height else frame[1]
    for _ in range(len(taken)):
        hit = next((other for other in taken if _meet((x, y, x + width, y + height), other)), None)
        if hit is None or hit[3] + height > size[1]:
            break
        y = hit[3]
    taken.append((x, y, x + width, y + height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 150
    draw.text((x + 2 - left, y + 1 - top), text, font=font, fill="black" if bright else "white")


def _meet(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def draw_comparison(
    images: Tensor, truths: Sequence[Boxes], found: Sequence[Boxes], captions: Sequence[tuple[str, str]],
    classes: Sequence[str],
) -> bytes:  # fmt: skip
    """What is true beside what was found, image by image, as a PNG.

    Args:
        images: uint8 ``(N, 3, H, W)``.
        truths, found: one for each image, in its pixels.
        captions: for each image one below what is true, and one below what was found.
        classes: name of each class number.
    """
    tiles: list[Tensor] = []
    texts: list[str] = []
    for image, true, answer, caption in zip(images, truths, found, captions, strict=True):
        tiles += [_tile(image, true, classes), _tile(image, answer, classes)]
        texts += caption
    return _sheet(tiles, texts)


def draw_annotated(images: Tensor, truths: Sequence[Boxes], classes: Sequence[str]) -> bytes:
    """Images ``(N, 3, H, W)`` with what is true, as a PNG."""
    tiles = [_tile(image, true, classes) for image, true in zip(images, truths, strict=True)]
    return _sheet(tiles, [])


def _sheet(tiles: Sequence[Tensor], captions: Sequence[str]) -> bytes:
    """Images of one size in rows, pixel for pixel so that their labels stay sharp, with captions below."""
    height, width = (int(side) for side in tiles[0].shape[1:])
    line = _LINE if captions else 0
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    right, down = width + _MARGIN, height + line + _MARGIN
    sheet = Image.new("RGB", (columns * right + _MARGIN, rows * down + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        x, y = _MARGIN + number % columns * right, _MARGIN + number // columns * down
        sheet.paste(Image.fromarray(tile.permute(1, 2, 0).contiguous().numpy()), (x, y))
        if captions:
            draw.text((x + width / 2, y + height + 2), captions[number], font=_font(13), fill="black", anchor="ma")
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _tile(image: Tensor, found: Boxes, classes: Sequence[str]) -> Tensor:
    factor = max(1, -(-_SHOWN_SIDE // min(image.shape[1:])))
    large = image.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    return draw_boxes(large, found._replace(boxes=found.boxes * factor), classes)
