"""How far given inputs lie from what a model learned, one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pendio.data.outputs import Places
from pendio.generation.given import given
from pendio.generation.manifold.distance import RECONSTRUCTION, way, yardsticks
from pendio.pictures.tiles import beside
from pendio.runs.files import replacing

__all__ = ["Measured", "measure_inputs"]


@dataclass(frozen=True)
class Measured:
    """What came of one input.

    Attributes:
        input: its name, of a table with the line.
        distances: by the name of the yardstick.
        file: the picture that was written: the image above its reconstruction; empty where there is none.
    """

    input: str
    distances: dict[str, float]
    file: str = ""

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {"input": self.input, **self.distances, "file": self.file}


def measure_inputs(task: Any, inputs: Sequence[str], out: Path) -> Iterator[Measured]:
    """Measure each input: images, of folders each image in them, or the rows of CSV files.

    Args:
        task: trained, of ``vae``, ``gan`` or ``flow``.
        inputs: as for :func:`pendio.generation.given.given`.
        out: the folder for pictures; made where there is one to write.

    Raises:
        InputError: an input does not exist or cannot be read, or the model can measure nothing.
    """
    sticks = yardsticks(task)
    names, values = given(inputs, task.shape)
    distances = {name: stick(values).tolist() for name, stick in sticks.items() if name != RECONSTRUCTION}
    made = None
    if RECONSTRUCTION in sticks:
        # Once for the number and the picture: to find a generator's code takes hundreds of steps.
        made = task.decode(task.encode(values))
        distances = {RECONSTRUCTION: way(task, values, made).tolist(), **distances}
    places = Places(out)
    for row, name in enumerate(names):
        file = ""
        if made is not None and values.ndim == 4:
            place = places.named(name, ".png")
            with replacing(place) as target:
                target.write(beside(values[row, None], made[row, None].clamp(0, 1)))
            file = str(place)
        yield Measured(name, {stick: found[row] for stick, found in distances.items()}, file)
