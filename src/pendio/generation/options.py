"""What all recipes of generative models are told alike: which examples they learn from, and where the run goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pendio.options import from_flat, own

__all__ = ["ExampleOptions"]


@dataclass(frozen=True, kw_only=True)
class ExampleOptions:
    """The examples, the run folder and the split; a recipe adds what its model is told, and a plan."""

    data: str = "digits"
    """What to learn: an embedded set, a folder of images, an .npz archive or a CSV table."""

    target: str | None = None
    """The column of a CSV table that is a label and not a feature."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/RECIPE-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    size: int | None = None
    """Side in pixels of the images, a multiple of 4; by default their own."""

    augment: str = "none"
    """Comma-separated changes to training images that keep them likely: flip, shift, crop, jitter."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown, or a value is out of range.
        """
        return from_flat(cls, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)
