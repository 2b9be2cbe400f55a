"""Writing what was made to files: one picture, a folder of them, arrays or a table."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from pendio.errors import InputError
from pendio.nn.network import unit_range
from pendio.pictures.figure import BLUE, COLORS, new_figure, to_png
from pendio.pictures.png import image_png
from pendio.pictures.tiles import tiled
from pendio.runs.files import replacing, writing

__all__ = ["check_place", "usual_place", "write_examples"]


def usual_place(shape: Sequence[int]) -> Path:
    """Where examples of a shape go if nobody says: what can be looked at into a picture, other rows into a table."""
    return Path("samples.csv" if len(shape) == 1 and shape[0] != 2 else "samples.png")


def check_place(out: Path, shape: Sequence[int]) -> None:
    """Whether examples of a shape can be written there.

    Raises:
        InputError: the ending is unknown or not for such examples, or a folder's place is taken.
    """
    images, ending = len(shape) == 3, out.suffix.lower()
    if ending not in ("", ".png", ".npz", ".csv"):
        raise InputError(f"--out '{out}' must end in .png, .npz or .csv, or be a folder")
    if images and ending == ".csv":
        raise InputError(f"--out '{out}': a .csv file holds rows of numbers; images go to .png, .npz or a folder")
    if not images and ending == "":
        raise InputError(f"--out '{out}': a folder holds images; rows of numbers go to .csv or .npz")
    if not images and ending == ".png" and shape[0] != 2:
        raise InputError(f"--out '{out}': rows of {shape[0]} numbers cannot be drawn in a plane; give .csv or .npz")
    if ending == "" and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out '{out}' exists already and is no empty folder; choose another")


def write_examples(
    out: Path,
    examples: Tensor,
    labels: Tensor | None = None,
    classes: Sequence[str] = (),
    *,
    columns: int | None = None,
) -> int:
    """Write examples; what is there already is replaced, except for a folder.

    A .png file holds all of them: a single image as it is, several side by side, points as dots. A folder holds an image a
    file, within a folder for each class where there are labels. An .npz archive holds ``x`` and, with labels, the names
    ``y``; a .csv table a column for each number and, with labels, ``class``. ``--data`` opens all but the picture again.

    Args:
        out: the file or folder.
        examples: ``(N, C, H, W)`` images as bytes or in [0, 1], or ``(N, F)`` rows.
        labels: ``(N,)`` numbers of ``classes``; None where there are none.
        classes: names.
        columns: of a picture of many images; by default as many as rows.

    Returns:
        How many files were written.

    Raises:
        InputError: as for :func:`check_place`, or it cannot be written.
    """
    check_place(out, examples.shape[1:])
    names = [] if labels is None else [classes[number] for number in labels.tolist()]
    images = examples.ndim == 4
    ending = out.suffix.lower()
    if ending == ".npz":
        _write(out, _archive(_bytes(examples) if images else examples, names))
    elif ending == ".csv":
        _write(out, _table(examples, names))
    elif ending == ".png" and images:
        _write(out, image_png(examples[0]) if len(examples) == 1 else _tiles(examples, columns))
    elif ending == ".png":
        _write(out, _dots(examples, labels))
    else:
        return _write_folder(out, examples, names)
    return 1


def _write_folder(out: Path, images: Tensor, names: Sequence[str]) -> int:
    digits = len(str(len(images)))
    for number, image in enumerate(images, 1):
        folder = out / _folder_name(names[number - 1]) if names else out
        _write(folder / f"{number:0{digits}d}.png", image_png(image))
    return len(images)


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w,@ .-]+", "-", name).strip("-. ") or "class"


def _write(path: Path, content: bytes) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)


def _bytes(images: Tensor) -> Tensor:
    return (unit_range(images).clamp(0, 1) * 255).round().byte()


def _archive(values: Tensor, names: Sequence[str]) -> bytes:
    arrays = {"x": values.cpu().numpy()} | ({"y": np.array(names)} if names else {})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _table(rows: Tensor, names: Sequence[str]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([f"x{number}" for number in range(1, rows.shape[1] + 1)] + (["class"] if names else []))
    for number, row in enumerate(rows.tolist()):
        writer.writerow([f"{value:.7g}" for value in row] + list(names[number : number + 1]))
    return text.getvalue().encode()


def _tiles(images: Tensor, columns: int | None) -> bytes:
    return tiled(unit_range(images), columns or math.ceil(math.sqrt(len(images))))


def _dots(points: Tensor, labels: Tensor | None) -> bytes:
    figure = new_figure(5, 5)
    axes = figure.subplots()
    x, y = points.T.cpu().numpy()
    colors = BLUE if labels is None else [COLORS[number % len(COLORS)] for number in labels.tolist()]
    axes.scatter(x, y, c=colors, s=6, alpha=0.6, linewidths=0)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
    return to_png(figure)
