"""What the commands that move an input share: opening networks, images and masks, and writing pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pendio.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from pendio.nn.network import Network

__all__ = ["How", "HowOptions", "as_floats", "file_name", "read_mask", "write_file"]


@dataclass(frozen=True, kw_only=True)
class How:
    """How a network is opened and run, the same for all these commands."""

    weights: Path | None = None
    """A file of weights for a timm or torchvision network."""

    seed: int = 0
    """Of everything random."""

    precision: Literal["float32", "bf16"] = "float32"
    """Number format of the network's passes."""

    def open(self, name: str) -> "Network":
        """A network of images by its name or run folder.

        Raises:
            InputError: there is none, or it takes no images.
        """
        from pendio.recipes import network

        opened = network(name, None if self.weights is None else str(self.weights))
        if len(opened.shape) != 3:
            raise InputError(f"'{name}' takes {opened.shape[0]} numbers an example; looking into it needs images")
        return opened

    def classifier(self, name: str) -> "Network":
        """A network that names classes of whole images.

        Raises:
            InputError: as for :meth:`open`, or the network answers for places in images.
        """
        from pendio.recipes import SEEING
        from pendio.runs.run import Run

        if name.endswith(".cfg") or (Path(name).is_dir() and Run.open(name).recipe in SEEING):
            raise InputError(f"'{name}' says what is where in an image; give a network that names what it shows, as of "
                             "'train classify'")  # fmt: skip
        return self.open(name)


HowOptions = Annotated[How, Parameter(name="*")]


def write_file(path: Path, content: bytes) -> None:
    """Replace a file, and make its folder where there is none."""
    from pendio.runs.files import replacing, writing

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(content)


def as_floats(text: str, network: "Network", size: int | None) -> "Tensor":
    """An image ``(1, C, H, W)`` in [0, 1], its longer side brought to ``size`` where one is given."""
    import torchvision.transforms.v2.functional as V

    from pendio.data.inputs import named_image

    image = named_image(text, grey=network.shape[0] == 1)
    if size is not None:
        if not 8 <= size <= 8192:
            raise InputError(f"--size must be 8 to 8192 pixels, got {size}")
        height, width = (max(8, round(side * size / max(image.shape[1:]))) for side in image.shape[1:])
        image = V.resize(image, [height, width], interpolation=V.InterpolationMode.BICUBIC, antialias=True)
    return image[None].float() / 255


def read_mask(path: Path, size: tuple[int, ...]) -> "Tensor":
    """A mask ``(1, 1, H, W)`` brought to an image's size: white is 1."""
    import torch.nn.functional as F

    from pendio.data.images import read_image

    mask = read_image(path, grey=True)[None].float() / 255
    return F.interpolate(mask, tuple(size), mode="area")


def file_name(text: str) -> str:
    """A text as part of a file's name."""
    import re

    return re.sub(r"[^A-Za-z0-9_.,@-]+", "-", text).strip("-.") or "unit"
