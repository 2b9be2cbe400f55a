"""Augmentation of whole batches, random per sample.

Every number drawn depends on (seed, epoch, sample) alone: see :mod:`pendio.data.randomness`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as V
from scipy.special import betaincinv
from torch import Tensor

from pendio.data.examples import Examples
from pendio.data.randomness import uniforms
from pendio.errors import InputError, did_you_mean

__all__ = ["AUGMENTATIONS", "Augment", "crop_boxes", "parse_augment"]

AUGMENTATIONS = {
    "flip": "mirror half of the images left to right",
    "shift": "move by up to an eighth of the size, filling with the border's colour",
    "crop": "cut out 25 to 100 % of the area at an aspect ratio of 3:4 to 4:3, and resize",
    "jitter": "change brightness, contrast and saturation by up to 40 %",
    "randaugment": "two random operations of RandAugment at magnitude 9 of 30 (Cubuk et al., 2020)",
    "mixup": "blend pairs of examples and their labels (Zhang et al., 2018)",
    "cutmix": "paste a rectangle of another image, mixing the labels by area (Yun et al., 2019)",
}
"""Name → what it does."""

_DRAWS = 16


def parse_augment(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list; "none" and "" mean no augmentation.

    Raises:
        InputError: a name is unknown.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))
    for name in names:
        if name not in AUGMENTATIONS:
            raise InputError(f"unknown augmentation '{name}' in --augment: {did_you_mean(name, AUGMENTATIONS)}")
    return names


@dataclass(frozen=True)
class Augment:
    """Applies the named augmentations to a batch, in the order of ``AUGMENTATIONS``.

    ``crop`` is left out for streams, which cut while they decode. Images come out in the type they came in.

    Attributes:
        names: keys of ``AUGMENTATIONS``.
        classes: of the data, for labels that are mixed.
        size: side in pixels to which crops are brought; None for that of the images they are cut from.
    """

    names: tuple[str, ...]
    classes: int
    size: int | None = None

    def __call__(self, batch: Examples, seed: int, epoch: int) -> Examples:
        """The augmented batch. Mixed examples come with class probabilities ``(N, K)`` as targets."""
        images, targets = batch.inputs, batch.targets
        draws = uniforms(seed, epoch, batch.indices, _DRAWS)
        for name in AUGMENTATIONS:
            if name == "crop" and name in self.names:
                images = _crop(images, draws, self.size)
            elif name in self.names and name in _IMAGE_STEPS:
                images = _IMAGE_STEPS[name](images, draws)
        if "mixup" in self.names or "cutmix" in self.names:
            targets = F.one_hot(targets, self.classes).float()
            images, targets = self._mix(images, targets, draws)
        return Examples(images, targets, batch.indices)

    def _mix(self, images: Tensor, targets: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each example with its neighbour in the batch, by mixup or cutmix."""
        if "mixup" in self.names and "cutmix" in self.names:
            cut = draws[:, 12] < 0.5
        else:
            cut = torch.full((len(images),), "cutmix" in self.names)
        # The inverse distribution function turns one uniform draw into a Beta(a, a) one.
        share = torch.where(
            cut,
            torch.from_numpy(betaincinv(1.0, 1.0, draws[:, 13].numpy())),
            torch.from_numpy(betaincinv(0.2, 0.2, draws[:, 13].numpy())),
        )
        weights = share[:, None, None, None].expand(-1, 1, *images.shape[2:]).clone()
        if cut.any():
            boxes = _cut_masks(images.shape[2], images.shape[3], share, draws[:, 14], draws[:, 15])
            weights[cut] = 1.0 - boxes[cut, None]
            share = torch.where(cut, weights.mean(dim=(1, 2, 3)), share)
        weights = weights.to(images.device, torch.float32)
        mixed = images * weights + images.roll(1, 0) * (1 - weights)
        share = share.to(targets.device, torch.float32)[:, None]
        return _cast(mixed, images), targets * share + targets.roll(1, 0) * (1 - share)


def _cut_masks(height: int, width: int, keep: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """``(N, H, W)`` masks of rectangles with area 1 − ``keep`` around the centre (u, v), cut at the border."""
    half = (1 - keep).sqrt() / 2
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside_rows = (rows[None] - u[:, None]).abs() < half[:, None]
    inside_columns = (columns[None] - v[:, None]).abs() < half[:, None]
    return (inside_rows[:, :, None] & inside_columns[:, None, :]).double()


def _cast(images: Tensor, like: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8) if like.dtype == torch.uint8 else images.to(like.dtype)


def _flip(images: Tensor, draws: Tensor) -> Tensor:
    chosen = (draws[:, 0] < 0.5).to(images.device)
    flipped = images.clone()
    flipped[chosen] = images[chosen].flip(-1)
    return flipped


def _shift(images: Tensor, draws: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    reach_y, reach_x = max(1, height // 8), max(1, width // 8)
    dy = (draws[:, 1] * (2 * reach_y + 1)).long() - reach_y
    dx = (draws[:, 2] * (2 * reach_x + 1)).long() - reach_x
    rows = (torch.arange(height) + dy[:, None]).clamp(0, height - 1).to(images.device)
    columns = (torch.arange(width) + dx[:, None]).clamp(0, width - 1).to(images.device)
    sample = torch.arange(len(images), device=images.device)
    # Indexing with the channel dimension between puts it last; bring it back.
    return images[sample[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def crop_boxes(draws: Tensor, heights: Tensor, widths: Tensor) -> Tensor:
    """Random crops: ``(N, 4)`` float64 of top, left, height, width in pixels, inside the images.

    Area uniform in 25 to 100 % of the image, logarithm of the aspect ratio uniform in 3:4 to 4:3, shrunk to fit.
    """
    area = heights * widths * (0.25 + 0.75 * draws[:, 3])
    ratio = torch.exp((2 * draws[:, 4] - 1) * torch.log(torch.tensor(4 / 3)))
    height = torch.minimum(torch.sqrt(area / ratio), heights)
    width = torch.minimum(torch.sqrt(area * ratio), widths)
    return torch.stack([(heights - height) * draws[:, 5], (widths - width) * draws[:, 6], height, width], dim=1)


def _crop(images: Tensor, draws: Tensor, side: int | None) -> Tensor:
    size = torch.tensor([images.shape[-2:]], dtype=torch.float64).expand(len(images), 2)
    top, left, height, width = crop_boxes(draws, size[:, 0], size[:, 1]).T
    zeros = torch.zeros_like(top)
    scale_y, scale_x = height / size[:, 0], width / size[:, 1]
    centre_y = (2 * top + height) / size[:, 0] - 1
    centre_x = (2 * left + width) / size[:, 1] - 1
    theta = torch.stack([scale_x, zeros, centre_x, zeros, scale_y, centre_y], dim=1).view(-1, 2, 3)
    shape = [*images.shape[:2], side or images.shape[2], side or images.shape[3]]
    grid = F.affine_grid(theta.float().to(images.device), shape, align_corners=False)
    cut = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _cast(cut, images)


def _jitter(images: Tensor, draws: Tensor) -> Tensor:
    top = 255.0 if images.dtype == torch.uint8 else 1.0
    factors = (0.6 + 0.8 * draws[:, 7:10]).float().to(images.device)[:, :, None, None, None]
    brightness, contrast, saturation = factors.unbind(1)
    out = (images.float() * brightness).clamp(0, top)
    grey = V.rgb_to_grayscale(out) if images.shape[1] == 3 else out
    mean = grey.mean(dim=(1, 2, 3), keepdim=True)
    out = (mean + (out - mean) * contrast).clamp(0, top)
    if images.shape[1] == 3:
        grey = V.rgb_to_grayscale(out)
        out = (grey + (out - grey) * saturation).clamp(0, top)
    return _cast(out, images)


def _affine(images: Tensor, angle: float = 0.0, move: tuple[int, int] = (0, 0), shear: float = 0.0) -> Tensor:
    out: Tensor = V.affine(images, angle=angle, translate=list(move), scale=1.0, shear=[shear, 0.0])
    return out


# Strengths are RandAugment's at magnitude 9 of 30; s is the sign, images are uint8.
_RANDAUGMENT: tuple[Callable[[Tensor, int], Tensor], ...] = (
    lambda x, s: x,
    lambda x, s: _affine(x, shear=s * 5.2),
    lambda x, s: V.affine(x, angle=0.0, translate=[0, 0], scale=1.0, shear=[0.0, s * 5.2]),
    lambda x, s: _affine(x, move=(s * round(0.14 * x.shape[-1]), 0)),
    lambda x, s: _affine(x, move=(0, s * round(0.14 * x.shape[-2]))),
    lambda x, s: _affine(x, angle=s * 9.0),
    lambda x, s: V.adjust_brightness(x, 1 + s * 0.27),
    lambda x, s: V.adjust_saturation(x, 1 + s * 0.27) if x.shape[1] == 3 else x,
    lambda x, s: V.adjust_contrast(x, 1 + s * 0.27),
    lambda x, s: V.adjust_sharpness(x, 1 + s * 0.27),
    lambda x, s: V.posterize(x, 7),
    lambda x, s: V.solarize(x, 178),
    lambda x, s: V.autocontrast(x),
    lambda x, s: V.equalize(x),
)


def _randaugment(images: Tensor, draws: Tensor) -> Tensor:
    work = (images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)).clone()
    for turn in (10, 11):
        # One draw picks the operation and its sign; samples that drew the same go through it as one batch.
        choice = (draws[:, turn] * 2 * len(_RANDAUGMENT)).long()
        for drawn in choice.unique().tolist():
            chosen = (choice == drawn).nonzero()[:, 0].to(images.device)
            work[chosen] = _RANDAUGMENT[drawn // 2](work[chosen], 1 if drawn % 2 else -1)
    return work if images.dtype == torch.uint8 else work.to(images.dtype) / 255


_IMAGE_STEPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "flip": _flip,
    "shift": _shift,
    "jitter": _jitter,
    "randaugment": _randaugment,
}
