"""Fitting a whole image into a square without distorting it, and finding the way back."""

from dataclasses import dataclass, field

import torch
import torchvision.transforms.v2.functional as V
from torch import Tensor

from pendio.data.annotations.records import IGNORED, Annotated
from pendio.data.images import ImageError, read_image

__all__ = ["GREY", "Letterbox", "read_fitted"]

GREY = 128
"""Value of all channels where there is no image: 0.5 · 255 = 127.5, rounded to even."""


@dataclass(frozen=True)
class Letterbox:
    """Resizes an image so that its longer side fills a square, and puts it in the middle of grey (as in darknet).

    The shorter side is truncated to whole pixels (at least one) and so is the offset, so that the image lies on whole
    pixels; ``scale_x`` and ``scale_y`` are what truncation made of the scale.

    Attributes:
        height, width: of the image in pixels.
        size: side of the square in pixels.
        new_height, new_width: of the image in the square.
        top, left: where it begins there.
        scale_y, scale_x: pixels of the square to a pixel of the image.
    """

    height: int
    width: int
    size: int
    new_height: int = field(init=False)
    new_width: int = field(init=False)
    top: int = field(init=False)
    left: int = field(init=False)
    scale_y: float = field(init=False)
    scale_x: float = field(init=False)

    def __post_init__(self) -> None:
        longer = max(self.height, self.width)
        for side, length, offset, scale in (
            (self.height, "new_height", "top", "scale_y"),
            (self.width, "new_width", "left", "scale_x"),
        ):
            new = max(1, side * self.size // longer)
            object.__setattr__(self, length, new)
            object.__setattr__(self, offset, (self.size - new) // 2)
            object.__setattr__(self, scale, new / side)

    @property
    def enough(self) -> int:
        """Shorter side in pixels that an image must keep when it is decoded, to be as sharp as the square shows it."""
        return min(self.new_height, self.new_width)

    def image(self, image: Tensor) -> Tensor:
        """The image in the square: ``(C, size, size)``, resized bilinearly with antialiasing.

        Args:
            image: uint8 ``(C, H, W)``; it may have been decoded at a fraction of its size.
        """
        inside = (self.new_height, self.new_width)
        if image.shape[1:] != inside:
            image = V.resize(image, list(inside), antialias=True)
        return self._placed(image, GREY)

    def mask(self, mask: Tensor) -> Tensor:
        """Class numbers ``(H, W)`` in the square: the nearest pixel's, and ``IGNORED`` outside of the image."""
        nearest = V.InterpolationMode.NEAREST_EXACT
        inside: Tensor = V.resize(mask[None], [self.new_height, self.new_width], interpolation=nearest)
        return self._placed(inside, IGNORED)[0]

    def boxes(self, boxes: Tensor) -> Tensor:
        """Boxes ``(…, 4)`` of the image as they lie in the square."""
        return boxes * self._scales(boxes) + self._offsets(boxes)

    def back(self, boxes: Tensor) -> Tensor:
        """Boxes ``(…, 4)`` of the square as they lie in the image, clipped to it."""
        limits = boxes.new_tensor([self.width, self.height, self.width, self.height])
        return ((boxes - self._offsets(boxes)) / self._scales(boxes)).clamp(min=0).minimum(limits)

    def _scales(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.scale_x, self.scale_y, self.scale_x, self.scale_y])

    def _offsets(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.left, self.top, self.left, self.top])

    def _placed(self, inside: Tensor, fill: int) -> Tensor:
        if inside.shape[1:] == (self.size, self.size):
            return inside
        square = torch.full((self.size, self.size, len(inside)), fill, dtype=inside.dtype).permute(2, 0, 1)
        square[:, self.top : self.top + self.new_height, self.left : self.left + self.new_width] = inside
        return square


def read_fitted(annotated: Annotated, size: int) -> tuple[Tensor, Letterbox]:
    """An annotated image's pixels in a square ``(3, size, size)``, uint8, and how they came there.

    Raises:
        ImageError: the image cannot be read, or is not of the size that its annotations claim.
    """
    letterbox = Letterbox(annotated.height, annotated.width, size)
    image = read_image(annotated.image, at_least=letterbox.enough)
    height, width = image.shape[1:]
    # A JPEG may come at an eighth of its size already.
    fractions = {(-(-annotated.height // part), -(-annotated.width // part)) for part in (1, 2, 4, 8)}
    if (height, width) not in fractions:
        raise ImageError(
            f"image '{annotated.image}' is {width}×{height} pixels and its annotations say "
            f"{annotated.width}×{annotated.height}; correct the annotations"
        )
    return letterbox.image(image), letterbox
