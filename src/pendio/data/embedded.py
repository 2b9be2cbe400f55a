"""Data sets that come inside packages pendio depends on: nothing is downloaded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pendio.data.arrays import Arrays, assemble
from pendio.data.augment import Augment
from pendio.data.examples import Data, Resident

__all__ = ["PHOTOS", "digits", "photo", "textures"]

_SKIMAGE_PHOTOS = (
    "astronaut", "brick", "camera", "cell", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field",
    "immunohistochemistry", "moon", "page", "retina", "rocket",
)  # fmt: skip

PHOTOS = (*_SKIMAGE_PHOTOS, "china", "flower")
"""Names of the embedded photographs, from scikit-image and scikit-learn."""


def photo(name: str) -> Tensor:
    """An embedded photograph: uint8 ``(3, H, W)``.

    Raises:
        KeyError: there is none of this name.
    """
    if name in _SKIMAGE_PHOTOS:
        import skimage.data

        pixels = getattr(skimage.data, name)()
    elif name in PHOTOS:
        from sklearn.datasets import load_sample_image

        pixels = np.array(load_sample_image(f"{name}.jpg"))
    else:
        raise KeyError(name)
    image = torch.from_numpy(np.ascontiguousarray(pixels))
    return image.expand(3, -1, -1).contiguous() if image.ndim == 2 else image.permute(2, 0, 1).contiguous()


def digits(seed: int, augment: tuple[str, ...], size: int | None = None) -> Data:
    """1,797 handwritten digits, 8×8, grey (Alpaydin and Kaynak, 1998), from scikit-learn.

    70 % are for training, 10 % for validation and 20 % for test, the same share of each class.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] / 16
    classes = tuple(str(digit) for digit in range(10))
    return assemble("digits", Arrays(images, torch.from_numpy(bunch.target)), classes, seed, augment, kind="images")


_TEXTURES = ("brick", "grass", "gravel")
_PATCH = 64


def textures(seed: int, augment: tuple[str, ...], size: int | None = None) -> Data:
    """Patches of 64×64 from photographs of brick, grass and gravel.

    Training patches come from the left 5/8 of each 512×512 photograph, validation patches from the next eighth and test
    patches from the right quarter, so that no pixel is seen in two splits. Patches overlap by half within a split.
    """
    columns = {"train": (0, 320), "val": (320, 384), "test": (384, 512)}
    parts: dict[str, Arrays] = {}
    for split, (left, right) in columns.items():
        patches, targets = [], []
        for target, name in enumerate(_TEXTURES):
            region = photo(name)[:, :, left:right]
            windows = region.unfold(1, _PATCH, _PATCH // 2).unfold(2, _PATCH, _PATCH // 2)
            patches.append(windows.permute(1, 2, 0, 3, 4).reshape(-1, 3, _PATCH, _PATCH))
            targets.append(torch.full((len(patches[-1]),), target))
        parts[split] = Arrays(torch.cat(patches), torch.cat(targets))
    return assemble(
        "textures", parts["train"], _TEXTURES, seed, augment, kind="images", val=parts["val"], test=parts["test"]
    )


def photos(seed: int, augment: tuple[str, ...], size: int | None = None) -> Data:
    """The embedded photographs, each its own class: something to predict, to look at and to restyle, not to classify.

    They are ``size`` × ``size``, by default 224 × 224; crops are cut from twice that, so that the smallest stays sharp.
    """
    from pendio.data.streams import frame

    side = size or 224
    every = Arrays(torch.stack([frame(photo(name), side) for name in PHOTOS]), torch.arange(len(PHOTOS)))
    data = assemble("photos", every, PHOTOS, seed, augment, kind="images", val=every, test=every)
    if "crop" not in augment:
        return data
    large = torch.stack([frame(photo(name), 2 * side) for name in PHOTOS])
    return replace(data, train=Resident(large, every.targets, Augment(augment, len(PHOTOS), side)))


EMBEDDED: dict[str, tuple[str, Callable[[int, tuple[str, ...], int | None], Data]]] = {
    "digits": ("1,797 handwritten digits, 8×8 grey, 10 classes", digits),
    "textures": ("64×64 patches of brick, grass and gravel; splits share no pixel", textures),
    "photos": (f"{len(PHOTOS)} photographs: {', '.join(PHOTOS[:6])} …", photos),
}
"""Name → a line about it, and what opens it given a seed, the augmentation of training batches and a wished size."""


def photo_named(text: str) -> str | None:
    """The embedded photograph meant by ``text``, with or without a file ending; None if there is none."""
    name = Path(text).stem if Path(text).suffix in (".png", ".jpg", ".jpeg", "") else text
    return name if name in PHOTOS and Path(text).parent == Path() else None
