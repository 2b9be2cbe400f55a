"""The data doctor: what is odd about a set of image files, named and left as it is."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pendio.data.examples import Finding
from pendio.data.images import ImageError, ImageHeader, read_header
from pendio.errors import listed

__all__ = ["ImageFile", "Record", "diagnose", "inspect"]

_READERS = 8
_IMBALANCE = 10
_ODD_ASPECT = 3
_ODD_SIDE = 16


@dataclass(frozen=True)
class ImageFile:
    """A labelled image file in a split."""

    path: Path
    label: str
    split: str


@dataclass(frozen=True)
class Record:
    """What a file's first look told: its header, or why there is none."""

    file: ImageFile
    bytes: int
    header: ImageHeader | None
    error: str = ""


def inspect(files: Sequence[ImageFile]) -> list[Record]:
    """The headers of all files, read by several threads; nothing is decoded."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(_look, files, chunksize=64))


def _look(file: ImageFile) -> Record:
    try:
        return Record(file, file.path.stat().st_size, read_header(file.path))
    except (OSError, ImageError) as error:
        return Record(file, 0, None, str(error))


def diagnose(records: Sequence[Record], other_files: Sequence[Path] = ()) -> tuple[Finding, ...]:
    """All findings about inspected files, the gravest first."""
    checks = (_unreadable(records), *_duplicates(records), _imbalance(records), *_odd(records), _others(other_files))
    return tuple(finding for finding in checks if finding is not None)


def _names(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(str(record.file.path) for record in records)


def _unreadable(records: Sequence[Record]) -> Finding | None:
    bad = [record for record in records if record.header is None]
    if not bad:
        return None
    return Finding("unreadable", f"{len(bad)} unreadable: {listed([record.error for record in bad])}", _names(bad))


def _duplicates(records: Sequence[Record]) -> list[Finding]:
    """Equal files that stand in different splits, or under different labels."""
    by_size: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        if record.header is not None:
            by_size[record.bytes].append(record)
    by_content: dict[bytes, list[Record]] = defaultdict(list)
    for group in by_size.values():
        if len(group) > 1:  # only files of equal length can be equal: the others are never read
            for record in group:
                by_content[hashlib.sha256(record.file.path.read_bytes()).digest()].append(record)
    groups = [group for group in by_content.values() if len(group) > 1]
    leaks = [group for group in groups if _kinds(group)[0] > 1]
    clashes = [group for group in groups if _kinds(group)[1] > 1]
    copies = [group for group in groups if _kinds(group) == (1, 1)]
    wordings = (
        ("leak", leaks, "stand in more than one split, so that the score flatters"),
        ("contradiction", clashes, "stand under different labels"),
        ("duplicate", copies, "stand more than once in one split"),
    )
    findings = []
    for kind, found, wording in wordings:
        if found:
            examples = listed([" = ".join(_names(group)) for group in found], shown=2)
            files = tuple(name for group in found for name in _names(group))
            findings.append(Finding(kind, f"{len(found)} images {wording}: {examples}", files))
    return findings


def _kinds(group: Sequence[Record]) -> tuple[int, int]:
    """In how many splits, and under how many labels, equal files stand."""
    return len({record.file.split for record in group}), len({record.file.label for record in group})


def _imbalance(records: Sequence[Record]) -> Finding | None:
    counts = Counter(record.file.label for record in records if record.file.split in ("train", ""))
    if not counts:
        return None
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    if many < _IMBALANCE * few:
        return None
    return Finding("imbalance", f"class '{most}' has {many} images, '{least}' has {few}; consider --class-weights")


def _odd(records: Sequence[Record]) -> list[Finding]:
    seen = [(record, record.header) for record in records if record.header is not None]
    findings = []
    tiny = [record for record, header in seen if min(header.width, header.height) < _ODD_SIDE]
    everywhere = len(tiny) > len(seen) / 2  # a set of 8×8 digits is small, not odd
    if tiny and not everywhere:
        findings.append(Finding("size", f"{len(tiny)} smaller than {_ODD_SIDE} pixels: {listed(_names(tiny))}",
                                _names(tiny)))  # fmt: skip
    long = [
        r for r, header in seen if max(header.width, header.height) > _ODD_ASPECT * min(header.width, header.height)
    ]
    if long:
        findings.append(Finding("shape", f"{len(long)} more than {_ODD_ASPECT} times as long as wide, cut to the "
                                f"middle: {listed(_names(long))}", _names(long)))  # fmt: skip
    modes = Counter(header.mode for _, header in seen)
    usual = modes.most_common(1)[0][0] if modes else ""
    odd = [record for record, header in seen if header.mode != usual]
    if odd:
        findings.append(Finding("mode", f"colour modes {_counted(modes)}; all are read as a person sees them",
                                _names(odd)))  # fmt: skip
    return findings


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _others(files: Sequence[Path]) -> Finding | None:
    if not files:
        return None
    names = tuple(str(path) for path in files)
    return Finding("ignored", f"{len(files)} files that are no images were left out: {listed(names)}", names)
