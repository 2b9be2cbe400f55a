"""The options of ``pendio train segment``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.options import check_types, flag, from_flat, own
from pendio.segmentation.kinds import ClassWeights, LossKind

__all__ = ["SegmentOptions", "SegmentPlan"]

_STAGED = ("fcn-16s", "fcn-8s")


@dataclass(frozen=True, kw_only=True)
class SegmentPlan(Plan):
    """How to walk down, with what suits class maps: small batches, because every pixel is an example."""

    epochs: int = 30
    """How many times to go through the training images."""

    batch: int | Literal["all"] | None = None
    """Images a step, over all devices together: all is full batch, 1 is online; by default 8, or all if fewer."""

    lr: float = 3e-3
    """Learning rate at the schedule's highest point."""

    schedule: Literal["constant", "linear", "step", "cosine", "onecycle", "inverse-root"] = "onecycle"
    """How the learning rate changes over the run."""

    clip: float | None = 10.0
    """Scale gradients down to this total norm when they exceed it."""

    _usual_batch = 8


@dataclass(frozen=True, kw_only=True)
class SegmentOptions:
    """Which network shall say of what class each pixel is, on what it learns, and how."""

    data: str = "scenes"
    """scenes, a folder of images and PNG masks, a COCO JSON file, or a folder in the form of COCO, Pascal VOC or YOLO."""

    images: str | None = None
    """The folder of the images, where a COCO JSON file does not lie beside them."""

    model: str = "unet"
    """unet, unet-valid, fcn-32s, fcn-16s, fcn-8s, or a U-Net's encoder: efficientnet-lite0, timm:NAME, torchvision:NAME."""

    backbone: str = "efficientnet-lite0"
    """Of fcn-32s, 16s and 8s: efficientnet-lite0, timm:NAME or torchvision:NAME."""

    width: int = 12
    """Of U-Nets: channels of the finest maps, doubled at each level; the paper's has 64."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/segment-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    size: int | None = None
    """Side in pixels of the square that images are fitted into; by default 64 for scenes, else 256."""

    augment: str = "flip"
    """Comma-separated changes to training images and masks: flip, shift, scale, color, rotate, elastic."""

    loss: LossKind = "ce"
    """ce: cross-entropy; focal: counts what is known well less; dice: overlap; or a sum."""

    gamma: float = 2.0
    """Of the focal loss: the higher, the less what is known well counts."""

    class_weights: ClassWeights = "none"
    """Whether pixels of rare classes weigh more in cross-entropy and focal loss, and by which rule."""

    pretrained: bool = True
    """Start timm and torchvision networks from their published weights."""

    weights: str | None = None
    """A .safetensors file (or .pt with tensors alone) to start the backbone or encoder from."""

    freeze: bool = False
    """Leave the backbone or encoder as it is, and train the rest."""

    body_lr: float | None = None
    """Learning rate of the backbone or encoder relative to the rest; by default 0.3 for a trained one, 1 for a new one."""

    stage_from: str | None = None
    """Of fcn-16s and fcn-8s: the run folder of a coarser one to go on from, as in the paper."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    plan: Annotated[SegmentPlan, Parameter(name="*")] = field(default_factory=SegmentPlan)

    def __post_init__(self) -> None:
        check_types(self)
        if self.size is not None and not 16 <= self.size <= 4096:
            raise InputError(f"--size must be 16 to 4096 pixels, got {self.size}")
        if not 1 <= self.width <= 512:
            raise InputError(f"--width must be 1 to 512, got {self.width}")
        if not 0 <= self.gamma <= 10:
            raise InputError(f"--gamma must be 0 to 10, got {self.gamma:g}")
        if self.body_lr is not None and not 0 < self.body_lr < float("inf"):
            raise InputError(f"--body-lr must be greater than 0, got {self.body_lr:g}")
        if self.loss == "dice" and self.class_weights != "none":
            raise InputError("--class-weights has no effect on --loss dice, which counts classes alike; "
                             "use ce+dice, or leave it out")  # fmt: skip
        if self.stage_from is not None and self.model not in _STAGED:
            raise InputError(f"--stage-from is for --model {' and '.join(_STAGED)}, not for '{self.model}'")
        if self.stage_from is not None and self.weights is not None:
            raise InputError("--stage-from and --weights both say what to start from; give one of them")
        for name in ("freeze", "body_lr", "weights"):
            if getattr(self, name) and not self.has_body:
                raise InputError(f"{flag(name)} is for networks on a backbone or encoder, and '{self.model}' has none")
        if self.freeze and not self.trained_body:
            raise InputError("--freeze needs a trained backbone, and this one starts from random weights; give --weights, "
                             "or a backbone such as efficientnet-lite0")  # fmt: skip
        if self.plan.dropout and self.has_body:
            raise InputError(f"--dropout is for unet and unet-valid, and '{self.model}' has none")

    @staticmethod
    def of(options: Mapping[str, Any]) -> "SegmentOptions":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown or a value is out of range.
        """
        return from_flat(SegmentOptions, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)

    @property
    def side(self) -> int:
        """Side in pixels of the square that images are fitted into."""
        return self.size or (64 if self.data == "scenes" else 256)

    @property
    def has_body(self) -> bool:
        """Whether the network stands on another: a backbone or an encoder."""
        return self.model not in ("unet", "unet-valid")

    @property
    def body(self) -> str:
        """The name of what the network stands on."""
        return self.backbone if self.model.startswith("fcn-") else self.model

    @property
    def trained_body(self) -> bool:
        """Whether the backbone or encoder starts from trained weights."""
        published = self.body == "efficientnet-lite0" or (":" in self.body and self.pretrained)
        return self.has_body and (published or self.weights is not None or self.stage_from is not None)
