"""``pendio.data.open``: one name or path in, examples out."""

from pathlib import Path

from pendio.data.arrays import from_csv_table, from_npz, read_csv
from pendio.data.augment import parse_augment
from pendio.data.embedded import EMBEDDED
from pendio.data.examples import Data
from pendio.data.folders import ImageOptions, from_image_csv, from_image_folder
from pendio.data.points import POINTS, points
from pendio.errors import InputError, did_you_mean

__all__ = ["open"]


def open(  # noqa: A001
    name_or_path: str | Path,
    *,
    size: int | None = None,
    crop: float = 1.0,
    augment: str = "none",
    target: str | None = None,
    seed: int = 0,
    labels: bool = True,
) -> Data:
    """Open data.

    Args:
        name_or_path: an embedded set (``pendio list data``), a folder of images, a CSV file of ``path,label``, a CSV
            table, or an ``.npz`` archive.
        size: side in pixels to which image files and embedded photographs are brought; other sets have their own.
        crop: share of an image file's shorter side that evaluation sees.
        augment: comma-separated names of augmentations, or "none".
        target: the column of a CSV table to predict.
        seed: of the split where the data brings none, and of generated points.
        labels: whether image files, tables and archives need labels. Without, a folder is searched to its depths for
            images, a CSV file of them needs its ``path`` column alone, and all images are of one class, "image"; of a table
            without a ``target`` every column is a feature, and an archive needs no ``y``.

    Raises:
        InputError: there is no such data, or it cannot be used; the message says why.
    """
    text = str(name_or_path)
    names = parse_augment(augment)
    options = ImageOptions(size, crop, names, seed, labels)
    if text in EMBEDDED:
        return EMBEDDED[text][1](seed, names, size)
    if text in POINTS:
        _refuse(names, text)
        return points(text, seed)
    path = Path(text)
    if path.is_dir():
        return from_image_folder(path, options)
    if not path.is_file():
        known = did_you_mean(text, [*EMBEDDED, *POINTS])
        raise InputError(f"no data '{text}': it is neither a file or folder here, nor an embedded set; {known}")
    suffix = path.suffix.lower()
    if suffix == ".csv":
        if target is None and ({"path", "label"} if labels else {"path"}) <= set(read_csv(path)[0]):
            return from_image_csv(path, options)
        _refuse(names, text)
        return from_csv_table(path, target, seed, labels)
    if suffix == ".npz":
        return from_npz(path, seed, names, labels)
    raise InputError(
        f"data file '{text}' has an unknown ending '{suffix}'; expected .csv or .npz, or a folder of images"
    )


def _refuse(names: tuple[str, ...], data: str) -> None:
    if names:
        raise InputError(f"--augment {','.join(names)} is for images, and '{data}' has none")
