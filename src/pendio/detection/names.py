"""Names of classes, where a network's own files do not bring them."""

from pathlib import Path

from pendio.errors import InputError

__all__ = ["COCO", "read_names"]

_MOST_BYTES = 1 << 20

COCO = (
    "person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "sofa", "pottedplant", "bed", "diningtable", "toilet",
    "tvmonitor", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

"""The 80 classes of COCO in darknet's order and spelling."""


def read_names(path: Path) -> tuple[str, ...]:
    """Names of classes, a line each.

    Raises:
        InputError: the file is too large, no text, or empty.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"'{path}' is too large for names of classes")
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from error
    if not names:
        raise InputError(f"'{path}' has no names of classes")
    return names
