"""Class maps of images, folders of them and moving pictures: masks, overlays, and one COCO file of outlines."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.data.annotations.letterbox import Letterbox
from pendio.data.frames import is_moving, read_frames, write_frames
from pendio.data.images import ImageError, in_channels
from pendio.data.inputs import named_images
from pendio.data.outputs import Places, through
from pendio.pictures.masks import mask_png, overlay
from pendio.pictures.png import image_png
from pendio.runs.files import replacing, write_text, writing
from pendio.segmentation.models import in_parts
from pendio.segmentation.polygons import annotations, categories
from pendio.segmentation.task import Segmenter
from pendio.segmentation.tiling import tiles

__all__ = ["OUTLINES", "Segmented", "predict_masks", "segmented"]

OUTLINES = "segmentation.json"
"""Name of the COCO file."""


@dataclass(frozen=True)
class Segmented:
    """What became of one input.

    Attributes:
        input: its name.
        mask: the PNG file of class numbers; None of a moving picture.
        overlay: the image with its classes in colours: a PNG, a GIF or an MP4 file.
        size: height and width in pixels.
        shares: class → share of the pixels, for those that occur, the largest first.
        frames: how many; 1 for an image.
    """

    input: str
    mask: Path | None
    overlay: Path
    size: tuple[int, int]
    shares: dict[str, float]
    frames: int = 1

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "input": self.input,
            "mask": None if self.mask is None else str(self.mask),
            "overlay": str(self.overlay),
            "size": list(self.size),
            "shares": {name: round(share, 6) for name, share in self.shares.items()},
            "frames": self.frames,
        }


def predict_masks(
    task: Segmenter, inputs: Sequence[str], out: Path, tile: int | None = None
) -> Iterator[Segmented | ImageError]:
    """Segment each input in turn and write masks and overlays into a folder; when all are done, their outlines.

    A mask is a PNG file NAME.png of the image's own size whose pixels are class numbers, shown in colours by its palette;
    NAME-overlay.png is the image in these colours. Of a moving picture the overlay alone is written, frame by frame.
    ``segmentation.json`` has the outlines of all images in COCO's form (see :mod:`pendio.segmentation.polygons`), without
    moving pictures. An input that was named itself must be readable. An unreadable one inside a folder comes out as an
    error in its place.

    Args:
        task: a trained segmenter.
        inputs: image files, GIFs, videos, folders of them, names of embedded photographs, or "photos" for all of those.
        out: the folder; made where there is none.
        tile: see :func:`segmented`.

    Raises:
        InputError: an input does not exist or cannot be read, a result would replace it, or no tiles give the same.
    """
    places, book = Places(out), _Book(task.classes)
    yield from through(inputs, lambda text, name: _of_input(task, text, name, places, book, tile))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_text(out / OUTLINES, book.text())


class _Book:
    """Gathers the outlines of images in COCO's form."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, name: str, mask: Tensor) -> None:
        number, (height, width) = len(self._images) + 1, mask.shape
        self._images.append({"id": number, "file_name": name, "width": width, "height": height})
        self._annotations += annotations(mask, self._classes, number, len(self._annotations) + 1)

    def text(self) -> str:
        whole = {
            "images": self._images, "categories": categories(self._classes), "annotations": self._annotations
        }  # fmt: skip
        return json.dumps(whole) + "\n"


@torch.no_grad()
def segmented(task: Segmenter, image: Tensor, tile: int | None = None) -> Tensor:
    """The class of each pixel, uint8 ``(H, W)``, of one image.

    The network sees the image as it saw those it learnt from: fitted into the same square. Its logits are brought back to
    the image's size bilinearly. With ``tile`` it sees every pixel of the image in its own resolution, a tile at a time,
    which gives what the whole image would: for images in which things are as large, in pixels, as they were in the squares.

    Args:
        task: a trained segmenter.
        image: ``(C, H, W)`` uint8.
        tile: side in pixels of the tiles; None for the whole image in the square.

    Raises:
        InputError: the network sees the whole image, so that no tiles give the same, or the tiles are too small.
    """
    task.eval()
    return _fitted(task, image) if tile is None else _in_tiles(task, image, tile)


def _fitted(task: Segmenter, image: Tensor) -> Tensor:
    fit = Letterbox(image.shape[1], image.shape[2], task.network.shape[1])
    logits = task.network(fit.image(image)[None].to(task.network.mean.device))[0]
    inside = logits[:, fit.top : fit.top + fit.new_height, fit.left : fit.left + fit.new_width].float()
    if inside.shape[1:] == image.shape[1:]:
        return cast(Tensor, inside.argmax(0).to(torch.uint8).cpu())
    best = inside.new_full(image.shape[1:], -torch.inf)
    mask = torch.zeros(image.shape[1:], dtype=torch.uint8, device=inside.device)
    # Class by class, because the logits of all of them would weigh many times what a large image does.
    for number, values in enumerate(inside):
        grown = F.interpolate(values[None, None], image.shape[1:], mode="bilinear")[0, 0]
        mask[grown > best] = number
        torch.maximum(best, grown, out=best)
    return mask.cpu()


def _in_tiles(task: Segmenter, image: Tensor, tile: int) -> Tensor:
    mask = torch.empty(image.shape[1:], dtype=torch.uint8)
    module, extent = in_parts(task.network)
    for part in tiles(module, image, tile, extent, prepare=task.network.prepare):
        mask[part.rows, part.columns] = part.logits.argmax(0).to(torch.uint8)
    return mask


def _of_input(
    task: Segmenter, text: str, name: str, places: Places, book: _Book, tile: int | None
) -> Iterator[Segmented]:
    """The results of an input that is no folder; ``name`` is its path within the output folder."""
    path = Path(text)
    grey = task.network.shape[0] == 1
    if is_moving(path):
        yield _moving(task, path, name, places, tile)
        return
    for title, image in named_images([text], grey=grey):
        if isinstance(image, ImageError):
            raise image
        mask = segmented(task, image, tile)
        called = name if path.is_file() else title
        files = (places.make(called, ".png", path), places.make(called, ".png", path, "-overlay"))
        pictures = (mask_png(mask, task.classes), image_png(overlay(image, mask, task.classes)))
        for place, picture in zip(files, pictures, strict=True):
            with replacing(place) as file:
                file.write(picture)
        book.add(called, mask)
        counts = torch.bincount(mask.flatten(), minlength=len(task.classes))
        yield Segmented(title, *files, (mask.shape[0], mask.shape[1]), _shares(counts, task.classes))


def _moving(task: Segmenter, path: Path, name: str, places: Places, tile: int | None) -> Segmented:
    place = places.make_moving(name, path, "-overlay")
    rate, frames = read_frames(path)
    counts, size = torch.zeros(len(task.classes), dtype=torch.long), (0, 0)

    def painted() -> Iterator[Tensor]:
        nonlocal size
        for frame in frames:
            mask = segmented(task, in_channels(frame, task.network.shape[0]), tile)
            size = (mask.shape[0], mask.shape[1])
            counts.add_(torch.bincount(mask.flatten(), minlength=len(task.classes)))
            yield overlay(frame, mask, task.classes)

    number = write_frames(place, painted(), rate)
    return Segmented(str(path), None, place, size, _shares(counts, task.classes), number)


def _shares(counts: Tensor, classes: Sequence[str]) -> dict[str, float]:
    shares = zip(classes, (counts.double() / counts.sum().clamp(min=1)).tolist(), strict=True)
    return dict(sorted(((name, share) for name, share in shares if share > 0), key=lambda pair: -pair[1]))
