"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s (Long, Shelhamer and Darrell, 2015)."""

import copy
from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.classification.backbones import Backbone, backbone
from pendio.classification.models import MODELS, build, preprocessing
from pendio.errors import InputError
from pendio.segmentation.convolutional import convolutionalize, dense_layers

__all__ = ["FCN", "Upsampling", "bilinear_kernel", "fcn"]

STRIDES = (8, 16, 32)


def bilinear_kernel(factor: int) -> Tensor:
    """The kernel with which a transposed convolution interpolates bilinearly: 2·factor a side, one less if that is odd.

    w_i = 1 − |i − c|/factor with c its middle, and the products of two such.

    >>> bilinear_kernel(2)[0]
    tensor([0.0625, 0.1875, 0.1875, 0.0625])
    """
    size = 2 * factor - factor % 2
    side = 1 - (torch.arange(size) - (size - 1) / 2).abs() / factor
    return side[:, None] * side


class Upsampling(nn.Module):
    """A learned enlargement by a transposed convolution, bilinear at first.

    Each channel has a kernel of its own. A dense kernel that starts out bilinear has zeros between any two channels, and
    costs C times as much. Borders are repeated by a cell, so that maps do not fade out there: at first it is exactly
    bilinear interpolation everywhere. Shapes: ``(N, C, h, w)`` → ``(N, C, factor·h, factor·w)``.

    >>> Upsampling(2, 4)(torch.zeros(1, 2, 3, 5)).shape
    torch.Size([1, 2, 12, 20])
    """

    def __init__(self, channels: int, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(bilinear_kernel(factor).expand(channels, 1, -1, -1).clone())

    def forward(self, maps: Tensor) -> Tensor:
        """Enlarge."""
        bordered = F.pad(maps, (1, 1, 1, 1), mode="replicate")
        cut = self.factor + (self.weight.shape[-1] - self.factor) // 2
        return F.conv_transpose2d(bordered, self.weight, stride=self.factor, padding=cut, groups=len(self.weight))


class FCN(nn.Module):
    """Class scores from a backbone's coarsest map, refined by scores from finer ones, brought to the image's size.

    FCN-32s takes the map at stride 32 alone. FCN-16s enlarges its scores twice and adds scores of the map at stride 16,
    FCN-8s likewise those at stride 8. New scores begin as zero, so that each begins as the coarser one that it was made
    from. The paper trains 32s first, then 16s from it, then 8s: see :meth:`upgraded` and :meth:`load_stage`.

    Enlargements by two are learned. The last one is the paper's fixed bilinear kernel. Images are extended to multiples
    of 32 by repeating their last row and column, and scores are cut back: cell (i, j) of a map always lies over the
    pixels from (s·i, s·j) to (s·i + s, s·j + s), with no border of 100 pixels to compute and to cut off.

    Args:
        body: a backbone with maps at strides 8, 16 and 32.
        classes: how many.
        stride: of the finest scores: 8, 16 or 32.
        dense: layers on the coarsest map before its scores, which keep its size: VGG's fc6 and fc7.
    """

    def __init__(self, body: Backbone, classes: int, stride: int = 32, dense: nn.Module | None = None) -> None:
        super().__init__()
        if body.strides != STRIDES:
            raise InputError(f"an FCN needs maps at strides 8, 16 and 32; '{body.name}' gives {body.strides}")
        if stride not in STRIDES:
            raise InputError(f"there is FCN-8s, FCN-16s and FCN-32s, and no FCN-{stride}s")
        self.backbone = body
        self.classes = classes
        self.stride = stride
        self.dense = dense if dense is not None else nn.Identity()
        self.score = nn.Conv2d(_width(dense) or body.channels[-1], classes, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.score.bias))
        self.skips, self.ups = nn.ModuleDict(), nn.ModuleDict()
        for finer, channels in zip(reversed(STRIDES[:-1]), reversed(body.channels[:-1]), strict=True):
            if finer >= stride:
                self._refine(finer, channels)

    def _refine(self, stride: int, channels: int) -> None:
        skip = nn.Conv2d(channels, self.classes, 1)
        nn.init.zeros_(skip.weight)
        nn.init.zeros_(cast(Tensor, skip.bias))
        self.skips[str(stride)] = skip
        self.ups[str(stride)] = Upsampling(self.classes)

    def scores(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, ⌈H/32⌉·32/stride, ⌈W/32⌉·32/stride)`` at the network's own stride."""
        height, width = images.shape[2:]
        below, right = -height % STRIDES[-1], -width % STRIDES[-1]
        maps = self.backbone(F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images)
        scores: Tensor = self.score(self.dense(maps[-1]))
        for place, stride in ((1, "16"), (0, "8")):
            if stride in self.skips:
                scores = self.ups[stride](scores) + self.skips[stride](maps[place])
        return scores

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of normalised images ``(N, 3, H, W)`` of any size."""
        height, width = images.shape[2:]
        scores = F.interpolate(self.scores(images), scale_factor=float(self.stride), mode="bilinear")
        return scores[:, :, :height, :width]

    def upgraded(self, stride: int) -> "FCN":
        """A finer FCN with copies of this one's weights, which begins by giving what this one gives.

        Raises:
            InputError: the stride is not finer than this one's.
        """
        if stride >= self.stride:
            raise InputError(f"an FCN-{self.stride}s can become a finer one, not an FCN-{stride}s")
        dense = None if isinstance(self.dense, nn.Identity) else copy.deepcopy(self.dense)
        made = FCN(copy.deepcopy(self.backbone), self.classes, stride, dense).to(self.score.weight.device)
        made.load_stage(self.state_dict())
        return made.train(self.training)

    def load_stage(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights of a coarser stage, or of the same; scores that it has not stay as they are.

        Args:
            weights: an FCN's ``state_dict`` with the same backbone and classes.

        Raises:
            InputError: the weights are another network's, or a finer stage's.
        """
        wanted = self.state_dict()
        optional = ("skips.", "ups.")
        lacking = [name for name in wanted if name not in weights and not name.startswith(optional)]
        strange = [name for name in weights if name not in wanted]
        other = [name for name, value in weights.items() if name in wanted and value.shape != wanted[name].shape]
        if lacking or strange or other:
            first = (lacking + strange + other)[0]
            has = list(weights[first].shape) if first in weights else "none"
            wants = list(wanted[first].shape) if first in wanted else "none"
            raise InputError(f"these weights are no earlier stage of this FCN-{self.stride}s: '{first}' is {has} in them "
                             f"and {wants} here; both need the same backbone and classes")  # fmt: skip
        self.load_state_dict({**wanted, **weights})


def fcn(
    name: str,
    classes: int,
    stride: int = 32,
    *,
    pretrained: bool = True,
    weights: str | None = None,
    dense: bool = False,
) -> FCN:
    """An FCN on a classifier by its name.

    Args:
        name: as for :func:`pendio.classification.backbones.backbone`.
        classes: how many.
        stride: 8, 16 or 32.
        pretrained, weights: as for the backbone.
        dense: keep the classifier's dense layers as convolutions, as the paper does VGG's; others have none to keep.

    Raises:
        InputError: the backbone cannot be had, has not the strides, or no dense layers are there to keep.
    """
    body = backbone(name, pretrained=pretrained, weights=weights, strides=STRIDES)
    if not dense:
        return FCN(body, classes, stride)
    if name in MODELS:
        raise InputError(f"'{name}' has no dense layers on a flattened map; only those of VGG's kind do")
    form = preprocessing(name)
    whole = build(name, (3, form.size, form.size), form.mean, form.std, ["any"],
                  pretrained=pretrained, weights=weights)  # fmt: skip
    return FCN(body, classes, stride, dense_layers(convolutionalize(whole)))


def _width(dense: nn.Module | None) -> int | None:
    """Channels that dense layers give."""
    if dense is None:
        return None
    return [layer.out_channels for layer in dense.modules() if isinstance(layer, nn.Conv2d)][-1]
