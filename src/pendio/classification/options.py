"""The options of ``pendio train classify``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.options import check_types, from_flat, own

__all__ = ["Classify"]


@dataclass(frozen=True, kw_only=True)
class Classify:
    """What to train, on what, and how."""

    data: str = "digits"
    """An embedded set, a folder of images, a CSV file of path and label, a CSV table, or an .npz archive."""

    model: str = "cnn"
    """mlp, lenet, cnn, resnet, se-resnet, separable, efficientnet-lite0, timm:NAME or torchvision:NAME."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/classify-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    target: str | None = None
    """The column of a CSV table to predict."""

    size: int | None = None
    """Side in pixels to which image files are brought; by default what the model or the images ask for."""

    augment: str = "none"
    """Comma-separated changes to training images: flip, shift, crop, jitter, randaugment, mixup, cutmix."""

    freeze: bool = False
    """Train a new head alone, on a body that stays as it is."""

    tune: int | None = None
    """Train the head and only the last so many stages of the body."""

    body_lr: float | None = None
    """Learning rate of the body relative to the head's; by default 0.1 for a trained body and 1 for a new one."""

    pretrained: bool = True
    """Start timm and torchvision models from their published weights."""

    weights: str | None = None
    """A .safetensors file (or .pt with tensors alone) to start the body from."""

    label_smoothing: float = 0.0
    """Share of each label that is spread over all classes, in [0, 1)."""

    class_weights: Literal["none", "balanced"] = "none"
    """Whether rare classes weigh more in the loss, as if all were equally frequent."""

    adversarial: float = 0.0
    """Learn from the worst images within this distance of each (L∞, of the range 0 to 1), such as 0.0314 for 8/255."""

    adversarial_steps: int = 7
    """Steps by which the worst image is sought."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    plan: Annotated[Plan, Parameter(name="*")] = field(default_factory=Plan)

    def __post_init__(self) -> None:
        check_types(self)
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"--label-smoothing must be in [0, 1), got {self.label_smoothing}")
        if self.size is not None and not 4 <= self.size <= 4096:
            raise InputError(f"--size must be 4 to 4096 pixels, got {self.size}")
        if self.tune is not None and self.tune < 1:
            raise InputError(f"--tune must be at least 1 stage, got {self.tune}; --freeze trains the head alone")
        if self.freeze and self.tune is not None:
            raise InputError("--freeze and --tune exclude each other: --tune N freezes all but the last N stages")
        if not 0 <= self.adversarial < 1:
            raise InputError(f"--adversarial must be in [0, 1), got {self.adversarial}")
        if self.adversarial_steps < 1:
            raise InputError(f"--adversarial-steps must be at least 1, got {self.adversarial_steps}")
        if self.adversarial and {"mixup", "cutmix"} & set(self.augment.split(",")):
            raise InputError("--adversarial needs one class an image, and mixup and cutmix mix them: leave those out")
        if self.body_lr is not None and not self.body_lr > 0:
            raise InputError(f"--body-lr must be greater than 0, got {self.body_lr}")
        if (self.freeze or self.tune) and not self.trained_body:
            raise InputError(
                f"--freeze and --tune need a trained body, and '{self.model}' starts from random weights; "
                "give --weights, or a model such as efficientnet-lite0"
            )

    @staticmethod
    def of(options: Mapping[str, Any]) -> "Classify":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown or a value is out of range.
        """
        return from_flat(Classify, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)

    @property
    def trained_body(self) -> bool:
        """Whether the body starts from trained weights."""
        published = self.model == "efficientnet-lite0" or (":" in self.model and self.pretrained)
        return published or self.weights is not None
