"""The options of ``pendio train restyle``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.descent.plan import Optimizer, Plan
from pendio.errors import InputError
from pendio.options import check_types, flag, from_flat, own

__all__ = ["RestyleOptions", "RestylePlan"]


@dataclass(frozen=True, kw_only=True)
class RestylePlan(Plan):
    """How to walk down, with what suits perceptual losses: small batches, and steps of a bounded gradient."""

    epochs: int = 100
    """How many times to go through the training images."""

    batch: int | Literal["all"] | None = None
    """Images a step, over all devices together: all is full batch, 1 is online; by default 4, or all if fewer."""

    optimizer: Optimizer = "adam"
    """Rule that turns gradients into steps."""

    lr: float = 2e-3
    """Learning rate at the schedule's highest point."""

    weight_decay: float = 0.0
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""

    clip: float | None = 10.0
    """Scale gradients down to this total norm when they exceed it."""

    _usual_batch = 4


@dataclass(frozen=True, kw_only=True)
class RestyleOptions:
    """Which style to learn, on what, and how."""

    style: str
    """The image whose style is taken: a file, or the name of an embedded photo."""

    data: str = "photos"
    """Images to learn on, any will do: a folder, an embedded set, a CSV file with a column path, or an .npz archive."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/restyle-STYLE-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    size: int | None = None
    """Side in pixels of the random crops to learn on; by default the images' own if all are alike, else 128."""

    augment: str = "crop,flip"
    """Comma-separated changes to training images: flip, shift, crop, jitter, randaugment."""

    style_size: int = 256
    """Longer side in pixels at which the style image is seen: the smaller, the finer the strokes."""

    content_weight: float = 1.0
    """Weight of the content."""

    style_weight: float = 5.0
    """Weight of the style."""

    smooth: float = 0.05
    """Weight of the total variation, which is held down."""

    loss_network: str = "efficientnet-lite0"
    """Whose layers see content and style: efficientnet-lite0, timm:NAME, torchvision:NAME or a run folder."""

    width: int = 16
    """Channels of the network's first maps; its widest have four times as many."""

    blocks: int = 5
    """Residual blocks of the network."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    plan: Annotated[RestylePlan, Parameter(name="*")] = field(default_factory=RestylePlan)

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("content_weight", "style_weight", "smooth"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{flag(name)} must not be negative, got {getattr(self, name):g}")
        if self.content_weight == 0 and self.style_weight == 0:
            raise InputError("--content-weight and --style-weight are both 0: nothing would count")
        for name in ("size", "style_size"):
            if getattr(self, name) is not None and not 8 <= getattr(self, name) <= 4096:
                raise InputError(f"{flag(name)} must be 8 to 4096 pixels, got {getattr(self, name)}")
        for name, least in (("width", 1), ("blocks", 0)):
            if not least <= getattr(self, name) <= 512:
                raise InputError(f"{flag(name)} must be {least} to 512, got {getattr(self, name)}")

    @staticmethod
    def of(options: Mapping[str, Any]) -> "RestyleOptions":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown, there is no style, or a value is out of range.
        """
        return from_flat(RestyleOptions, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)
