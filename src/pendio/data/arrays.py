"""Data from arrays in memory, NumPy files, CSV tables, and any ``torch`` data set."""

import csv
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pendio.data.augment import Augment
from pendio.data.examples import Data, Finding, Resident
from pendio.data.streams import Items, Stream
from pendio.errors import InputError, did_you_mean

__all__ = [
    "Arrays",
    "assemble",
    "channel_statistics",
    "from_arrays",
    "from_csv_table",
    "from_dataset",
    "from_npz",
    "split_by_class",
]

_MAX_BYTES = 64 << 30
"""Largest NumPy archive that is unpacked: a small file can claim any size."""

_MAX_CATEGORIES = 50


@dataclass(frozen=True)
class Arrays:
    """Inputs ``(N, …)`` and class numbers ``(N,)``."""

    inputs: Tensor
    targets: Tensor

    def __getitem__(self, chosen: Tensor) -> "Arrays":
        return Arrays(self.inputs[chosen], self.targets[chosen])


def split_by_class(targets: Tensor, seed: int, shares: tuple[float, ...]) -> list[Tensor]:
    """Seeded, stratified positions for several splits; what the shares leave over goes to the first.

    Every class keeps at least one example in the first split, and gives the others at least one each if it has enough.
    """
    generator = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(len(shares) + 1)]
    for target in targets.unique().tolist():
        members = (targets == target).nonzero()[:, 0]
        members = members[torch.randperm(len(members), generator=generator)]
        for part, share in enumerate(shares):
            spare = len(members) - 1
            count = min(spare, max(1, round(share * int((targets == target).sum()))))
            parts[part + 1].append(members[:count])
            members = members[count:]
        parts[0].append(members)
    return [torch.cat(part).sort().values for part in parts]


def channel_statistics(inputs: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel ``(N, C, H, W)`` or feature ``(N, F)``, of uint8 in [0, 1] terms.

    Computed in parts and in float64: images as uint8 never stand in memory as floats all at once. A feature that never
    changes has nothing to be divided by and gets a standard deviation of 1.
    """
    over = (0, 2, 3) if inputs.ndim == 4 else (0,)
    scale = 255.0 if inputs.dtype == torch.uint8 else 1.0
    count = inputs.numel() // inputs.shape[1]
    parts = inputs.split(1024)
    mean = torch.stack([part.double().sum(over) for part in parts]).sum(0) / count
    shape = (1, -1, 1, 1) if inputs.ndim == 4 else (1, -1)
    squares = torch.stack([(part.double() - mean.view(shape)).square().sum(over) for part in parts]).sum(0)
    std = (squares / count).sqrt()
    std = torch.where(std > 1e-8 * mean.abs().clamp(min=1), std, torch.full_like(std, scale))
    return tuple((mean / scale).tolist()), tuple((std / scale).tolist())


def assemble(
    name: str,
    train: Arrays,
    classes: tuple[str, ...],
    seed: int,
    augment: tuple[str, ...],
    *,
    kind: Literal["images", "points", "table"],
    val: Arrays | None = None,
    test: Arrays | None = None,
    findings: tuple[Finding, ...] = (),
) -> Data:
    """Resident data from arrays.

    With neither ``val`` nor ``test``, 10 % and 20 % of ``train`` become them; with ``test`` alone, 10 % become ``val``.
    """
    if val is None:
        shares = (0.1, 0.2) if test is None else (0.1,)
        parts = split_by_class(train.targets, seed, shares)
        if test is None:
            test = train[parts[2]]
        val, train = train[parts[1]], train[parts[0]]
    mean, std = channel_statistics(train.inputs)
    counts = torch.bincount(train.targets, minlength=len(classes))
    augmenter = Augment(augment, len(classes)) if augment else None
    return Data(
        name=name,
        train=Resident(train.inputs, train.targets, augmenter),
        val=Resident(val.inputs, val.targets),
        test=None if test is None else Resident(test.inputs, test.targets),
        classes=classes,
        shape=tuple(train.inputs.shape[1:]),
        mean=mean,
        std=std,
        findings=findings,
        kind=kind,
        class_counts=tuple(counts.tolist()),
        augmented=bool(augment),
    )


def from_arrays(
    inputs: Tensor | NDArray[Any],
    targets: Tensor | NDArray[Any] | Sequence[Any],
    *,
    val: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    name: str = "arrays",
    seed: int = 0,
    augment: tuple[str, ...] = (),
) -> Data:
    """Data from arrays in memory.

    Args:
        inputs: ``(N, F)`` features, or images ``(N, C, H, W)``, ``(N, H, W, C)`` or ``(N, H, W)``, uint8 or in [0, 1].
        targets: ``(N,)`` labels of any kind; their sorted distinct values are the classes.
        val, test: inputs and targets likewise; by default 10 % and 20 % of the examples.
        name: what to call it.
        seed: of the split.
        augment: names of augmentations for training batches.

    Raises:
        InputError: shapes do not fit, a value is not finite, or there is one class only.
    """
    labels = np.asarray(targets)
    if labels.ndim != 1 or len(labels) != len(inputs):
        raise InputError(f"{name}: {len(inputs)} inputs need as many labels in one dimension, got shape {labels.shape}")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise InputError(f"{name}: all {len(labels)} labels are '{classes[0] if len(classes) else ''}'; "
                         "a classifier needs two classes or more")  # fmt: skip

    def pair(given: Any, wanted: Any, where: str) -> Arrays:
        wanted = np.asarray(wanted)
        unknown = set(np.unique(wanted).tolist()) - set(classes.tolist())
        if unknown:
            raise InputError(f"{name}: {where} has labels that training has not: {sorted(map(str, unknown))[:5]}")
        return Arrays(_inputs(given, f"{name}: {where}"), torch.from_numpy(np.searchsorted(classes, wanted)))

    train = pair(inputs, labels, "training")
    return assemble(
        name,
        train,
        tuple(str(value) for value in classes.tolist()),
        seed,
        augment,
        kind=_kind(train.inputs),
        val=None if val is None else pair(*val, "validation"),
        test=None if test is None else pair(*test, "test"),
    )


def _kind(inputs: Tensor) -> Literal["images", "points", "table"]:
    if inputs.ndim == 4:
        return "images"
    return "points" if inputs.shape[1] == 2 else "table"


def _inputs(given: Any, where: str) -> Tensor:
    values = torch.as_tensor(given)
    if values.ndim == 3:
        values = values[:, None]
    elif values.ndim == 4 and values.shape[-1] in (1, 3) and values.shape[1] not in (1, 3):
        values = values.permute(0, 3, 1, 2)
    if values.ndim not in (2, 4):
        raise InputError(f"{where}: inputs of shape {tuple(values.shape)}; expected (N, F), (N, H, W) or (N, C, H, W)")
    if values.dtype != torch.uint8:
        values = values.float()
        if not values.isfinite().all():
            raise InputError(f"{where}: inputs contain NaN or infinite values; fill or remove them")
        if values.ndim == 4 and (values.min() < 0 or values.max() > 1):
            raise InputError(f"{where}: float images range over [{values.min():.3g}, {values.max():.3g}]; "
                             "scale them to [0, 1] or give uint8")  # fmt: skip
    return values.contiguous()


def from_npz(path: Path, seed: int, augment: tuple[str, ...], labels: bool = True) -> Data:
    """Data from a NumPy archive with arrays ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_val``, … ``y_test``.

    Where no ``labels`` are needed and the archive has no ``y``, all examples are of one class, "example".

    Raises:
        InputError: the archive is damaged, too large, holds Python objects, or lacks an array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MAX_BYTES:
                raise InputError(f"'{path}' unpacks to more than {_MAX_BYTES >> 30} GiB")
        with np.load(path, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' is no readable .npz archive of plain arrays: {error}") from error
    train = "" if "x" in found else "_train"
    if not labels and f"x{train}" in found and f"y{train}" not in found:
        return _unlabelled(found, train, str(path), seed, augment)
    for key in (f"x{train}", f"y{train}"):
        if key not in found:
            raise InputError(f"'{path}' has no array '{key}'; it holds {sorted(found)}; expected x and y, "
                             "or x_train and y_train")  # fmt: skip
    pairs = {
        split: (found[f"x_{split}"], found[f"y_{split}"])
        for split in ("val", "test")
        if f"x_{split}" in found and f"y_{split}" in found
    }
    return from_arrays(
        found[f"x{train}"], found[f"y{train}"], val=pairs.get("val"), test=pairs.get("test"),
        name=str(path), seed=seed, augment=augment,
    )  # fmt: skip


def _unlabelled(found: dict[str, NDArray[Any]], train: str, name: str, seed: int, augment: tuple[str, ...]) -> Data:
    def every(key: str) -> Arrays | None:
        if key not in found:
            return None
        values = _inputs(found[key], f"{name}: {key}")
        return Arrays(values, torch.zeros(len(values), dtype=torch.long))

    first = every(f"x{train}")
    assert first is not None
    return assemble(
        name, first, ("example",), seed, augment, kind=_kind(first.inputs), val=every("x_val"), test=every("x_test"),
    )  # fmt: skip


def from_csv_table(path: Path, target: str | None, seed: int, labels: bool = True) -> Data:
    """Data from a CSV table with a header: every column but ``target`` is a feature.

    Where no ``labels`` are needed and no target is named, every column is a feature, and all rows are of one class, "row".

    Numeric columns are features as they are; text columns of up to 50 distinct values become one feature a value.

    Raises:
        InputError: no such column, a value is missing, or a text column has too many values.
    """
    rows = read_csv(path)
    header = list(rows[0])
    if target is None and labels:
        raise InputError(f"'{path}' is a table: say with --target which column to predict ({', '.join(header)})")
    if target is not None and target not in header:
        raise InputError(f"'{path}' has no column '{target}': {did_you_mean(target, header)}")
    features = [_feature(path, name, [row[name] for row in rows]) for name in header if name != target]
    if not features:
        raise InputError(f"'{path}' has no column beside the target '{target}'")
    values = torch.cat(features, 1)
    if target is None:
        every = Arrays(values, torch.zeros(len(values), dtype=torch.long))
        return assemble(str(path), every, ("row",), seed, (), kind="table")
    named = np.array([row[target] for row in rows])
    if (named == "").any():
        raise InputError(f"'{path}' line {int(np.argmax(named == '')) + 2}: the target '{target}' is empty")
    return from_arrays(values, named, name=str(path), seed=seed)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file with a header, each a dictionary of stripped texts.

    Raises:
        InputError: the file cannot be read, has no rows, or a row has another length than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    fields = len(reader.fieldnames or ())
                    raise InputError(f"'{path}' line {reader.line_num}: expected {fields} fields as in the header")
                rows.append({key.strip(): value.strip() for key, value in row.items()})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' cannot be read as CSV in UTF-8: {error}") from error
    if not rows:
        raise InputError(f"'{path}' has no rows below its header")
    return rows


def read_numbers(path: Path) -> list[list[float]]:
    """The rows of a CSV file with a header whose values are all numbers.

    Raises:
        InputError: as for :func:`read_csv`, or a value is no number.
    """
    numbers = []
    for line, row in enumerate(read_csv(path), 2):
        try:
            numbers.append([float(value) for value in row.values()])
        except ValueError as error:
            raise InputError(f"'{path}' line {line}: not all values are numbers") from error
        if not all(map(math.isfinite, numbers[-1])):
            raise InputError(f"'{path}' line {line}: a value is NaN or infinite; fill it or remove the row")
    return numbers


def _feature(path: Path, name: str, values: list[str]) -> Tensor:
    """``(N, 1)`` numbers of a numeric column, or ``(N, V)`` zeros and ones of a text column."""
    if "" in values:
        raise InputError(f"'{path}' line {values.index('') + 2}: column '{name}' is empty; fill it or remove the row")
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        distinct = sorted(set(values))
        if len(distinct) > _MAX_CATEGORIES:
            raise InputError(f"'{path}': text column '{name}' has {len(distinct)} distinct values, more than "
                             f"{_MAX_CATEGORIES}; remove it or turn it into numbers") from None  # fmt: skip
        number = {value: index for index, value in enumerate(distinct)}
        codes = torch.tensor([number[value] for value in values])
        return torch.nn.functional.one_hot(codes, len(distinct)).float()
    for line, value in enumerate(numbers, 2):
        if not math.isfinite(value):
            raise InputError(f"'{path}' line {line}: column '{name}' is not finite; fill it or remove the row")
    return torch.tensor(numbers)[:, None]


def from_dataset(
    train: Any,
    val: Any,
    test: Any = None,
    *,
    classes: Sequence[str],
    name: str = "dataset",
    augment: tuple[str, ...] = (),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Data:
    """Data from map-style ``torch.utils.data.Dataset`` objects whose items are ``(input, class number)``.

    Inputs are tensors of one shape: ``(F,)`` features, or ``(C, H, W)`` images, uint8 or in [0, 1]. Items are read while
    training, by worker processes. ``mean`` and ``std`` are estimated from 256 items where they are not given.
    """
    if len(train) == 0 or len(val) == 0:
        raise InputError(f"{name}: a training and a validation set need an example each; "
                         f"they have {len(train)} and {len(val)}")  # fmt: skip
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:256]
    sample = torch.stack([torch.as_tensor(train[index][0]) for index in chosen.tolist()])
    estimated = channel_statistics(sample)
    augmenter = Augment(augment, len(classes)) if augment else None
    return Data(
        name=name,
        train=Stream(Items(train, augmenter)),
        val=Stream(Items(val)),
        test=None if test is None else Stream(Items(test)),
        classes=tuple(classes),
        shape=tuple(sample.shape[1:]),
        mean=estimated[0] if mean is None else tuple(mean),
        std=estimated[1] if std is None else tuple(std),
        kind="images" if sample.ndim == 4 else "table",
        augmented=bool(augment),
    )
