"""Pictures kept in memory after their first reading, where all of them fit."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from pendio.data.examples import Split
from pendio.errors import InputError

__all__ = ["KEPT_BYTES", "Keeper", "image_name"]

KEPT_BYTES = 1 << 30
"""Pictures up to this size together stay in memory; larger sets are read anew each epoch."""

Picture = TypeVar("Picture")


class Keeper(Generic[Picture]):
    """Reads pictures by number, and keeps them where all fit into ``KEPT_BYTES``.

    Pictures that are to be kept are read by threads: decoding and resizing leave Python's lock alone, and it happens
    once. Those that are not are read one after the other, because worker processes share the work then.

    Args:
        load: reads one; raises an ``InputError`` where it cannot.
        count: of pictures.
        bytes_each: of one.
    """

    def __init__(self, load: Callable[[int], Picture], count: int, bytes_each: int) -> None:
        self.load = load
        self.count = count
        self.keeps = count * bytes_each <= KEPT_BYTES
        self._kept: dict[int, Picture] = {}

    def __len__(self) -> int:
        return self.count

    def get(self, numbers: Iterable[int]) -> dict[int, Picture | InputError]:
        """The pictures of these numbers, or why they cannot be read."""
        wanted = list(dict.fromkeys(numbers))
        missing = [number for number in wanted if number not in self._kept]
        if not self.keeps:
            return dict(zip(missing, map(self._attempt, missing), strict=True))
        found: dict[int, Picture | InputError] = {}
        if missing:
            with ThreadPoolExecutor(min(len(missing), os.cpu_count() or 1)) as threads:
                found = dict(zip(missing, threads.map(self._attempt, missing), strict=True))
            self._kept.update((number, read) for number, read in found.items() if not isinstance(read, InputError))
        return {number: found[number] if number in found else self._kept[number] for number in wanted}

    def _attempt(self, number: int) -> Picture | InputError:
        try:
            return self.load(number)
        except InputError as error:
            return error


def image_name(split: Split, place: int) -> str:
    """What a split calls the image at a position; its number where it has no names."""
    source = getattr(getattr(split, "reader", None), "source", None)
    return f"image {place}" if source is None else str(source.name(place))
