"""The options of ``pendio train detect``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pendio.descent.plan import Plan
from pendio.detection.kinds import AnchorChoice, BoxLoss, NeckKind, SuppressionKind
from pendio.errors import InputError
from pendio.options import check_types, flag, from_flat, own

__all__ = ["DetectOptions", "DetectPlan"]

_STRIDE = 32


@dataclass(frozen=True, kw_only=True)
class DetectPlan(Plan):
    """How to walk down, with what suits detectors: a short rise of the learning rate, and an average of the weights."""

    epochs: int = 30
    """How many times to go through the training images."""

    batch: int | Literal["all"] | None = None
    """Images a step, over all devices together: all is full batch, 1 is online; by default 16, or all if fewer."""

    lr: float = 1e-3
    """Learning rate at the schedule's highest point."""

    warmup: float = 1.0
    """Epochs in which the learning rate rises linearly from zero, before the schedule begins."""

    clip: float | None = 50.0
    """Scale gradients down to this total norm when they exceed it."""

    average: Literal["none", "ema", "swa"] = "ema"
    """Average weights and buffers over steps (`ema`) or over the last epochs (`swa`); the average is what is kept."""

    ema_decay: float = 0.995
    """Share of the old average that survives a step of `ema`, in [0, 1)."""

    _usual_batch = 16


@dataclass(frozen=True, kw_only=True)
class DetectOptions:
    """Which detector to train, on what, and how."""

    data: str = "scenes"
    """scenes, a COCO JSON file, or a folder in the form of COCO, Pascal VOC or YOLO."""

    images: str | None = None
    """The folder of the images, where a COCO JSON file does not lie beside them."""

    model: str = "yolov3-tiny"
    """yolov3-tiny, yolov3, a darknet .cfg file, rcnn; or a backbone: cnn, efficientnet-lite0, timm:NAME, …"""

    neck: NeckKind = "fpn"
    """Of backbones: how objects of many sizes are seen."""

    width: int = 128
    """Of backbones: channels of the neck's maps."""

    anchors: AnchorChoice = "auto"
    """`data` clusters the training boxes; `published` are the model's own; `auto` clusters for all but .cfg files."""

    anchor_count: int | None = None
    """How many anchors are clustered, over all scales; by default as many as the model has. Few learn sooner."""

    out: str | None = None
    """The run folder to make; by default the next unused runs/detect-DATA-N."""

    resume: bool = False
    """Go on in --out where it stopped, with the options it was started with."""

    size: int | None = None
    """Side in pixels of the square that images are fitted into, a multiple of 32; by default 96 for scenes, else 416."""

    multi_scale: bool = False
    """Draw the size of each training batch between ¾ and 1½ of --size, in steps of 32 pixels."""

    augment: str = "scale,color"
    """Comma-separated changes to training images: flip, shift, scale, color, mosaic."""

    loss: BoxLoss = "darknet"
    """v1: squared errors of the first YOLO; darknet: YOLOv3's own; bce: cross-entropies; giou, ciou: by overlap."""

    class_gain: float = 1.0
    """What a wrong class costs, beside a wrong place and a wrong size; more where classes are hard to tell apart."""

    ignore: float = 0.7
    """A prediction that overlaps an object by more, without being responsible for it, is not told to be silent."""

    suppression: SuppressionKind = "hard"
    """What happens to the weaker of two boxes of a class that overlap: it goes, or its score is lowered."""

    overlap: float | None = None
    """Intersection over union from which two boxes of a class are taken for one object; by default 0.45, of rcnn 0.3."""

    pretrained: bool = True
    """Start timm and torchvision backbones from their published weights."""

    weights: str | None = None
    """Weights to start from: darknet's .weights, whole or the first layers alone; for backbones a .safetensors file."""

    split_seed: int = 0
    """Seed of the split where the data brings none; the same for all seeds of training, so that runs compare."""

    plan: Annotated[DetectPlan, Parameter(name="*")] = field(default_factory=DetectPlan)

    def __post_init__(self) -> None:
        check_types(self)
        if self.size is not None and (not _STRIDE <= self.size <= 2048 or self.size % _STRIDE):
            raise InputError(f"--size must be a multiple of {_STRIDE} from {_STRIDE} to 2048 pixels, got {self.size}")
        if not 8 <= self.width <= 1024:
            raise InputError(f"--width must be 8 to 1024, got {self.width}")
        for name, share in (("ignore", self.ignore), ("overlap", self.usual_overlap)):
            if not 0 < share <= 1:
                raise InputError(f"{flag(name)} must be in (0, 1], got {share:g}")
        if not 0 < self.class_gain <= 100:
            raise InputError(f"--class-gain must be in (0, 100], got {self.class_gain:g}")
        if self.anchor_count is not None and not 1 <= self.anchor_count <= 64:
            raise InputError(f"--anchor-count must be 1 to 64, got {self.anchor_count}")
        if self.model == "rcnn" and (self.multi_scale or self.weights):
            raise InputError("--multi-scale and --weights are for single-shot detectors, not for rcnn")

    @staticmethod
    def of(options: Mapping[str, Any]) -> "DetectOptions":
        """Options from flat names and values, as in a config file.

        Raises:
            InputError: a name is unknown or a value is out of range.
        """
        return from_flat(DetectOptions, options)

    def own(self) -> dict[str, Any]:
        """The options by name, without those of the plan."""
        return own(self)

    @property
    def usual_overlap(self) -> float:
        """What was asked for, or what suits the model: regions are moved by what they show, and often to one place."""
        return self.overlap if self.overlap is not None else 0.3 if self.model == "rcnn" else 0.45

    @property
    def side(self) -> int:
        """Side in pixels of the square that images are fitted into."""
        return self.size or (96 if self.data == "scenes" else 416)

    @property
    def sides(self) -> tuple[int, ...]:
        """What the size of a training batch is drawn from; empty where it is always the same."""
        if not self.multi_scale:
            return ()
        least, most = round(self.side * 0.75 / _STRIDE), round(self.side * 1.5 / _STRIDE)
        return tuple(_STRIDE * number for number in range(max(1, least), most + 1))
