"""Perceptual losses: how near images come to a content and a style, as a trained network sees them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pendio.ascent.levels import check_size, painting_layers
from pendio.ascent.objectives import gram, matching, total_variation
from pendio.ascent.objectives import style as like_style
from pendio.ascent.reading import Precision, Reader, Readings, frozen
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Perception", "Seen"]


class Seen(NamedTuple):
    """What was seen of each image, ``(N,)`` each.

    Attributes:
        content: ‖a − t‖²/‖t‖², the distance of a deep layer from what the original gives there.
        style: the mean over layers of ‖G − Ĝ‖²/‖Ĝ‖², the distance of Gram matrices from those of the style.
        roughness: the total variation.
    """

    content: Tensor
    style: Tensor
    roughness: Tensor


class Perception:
    """Sees images with a network that never changes (Johnson, Alahi and Fei-Fei, 2016).

    As in :mod:`pendio.ascent.style`, content is compared at the third resolution, and style at the first five; but of
    those only where a training image has a map of ``PLACES`` × ``PLACES`` or more: a Gram matrix of fewer places depends
    more on where the image was cut than on its style. A perception is no module, so that its weights are neither trained
    nor saved with those of what it judges; the gradient flows through them to the images alone.

    Args:
        network: whose layers see; left as it is but for its device, which follows that of the images.
        style: ``(1, C, h, w)`` in [0, 1], at the size at which its strokes are meant.
        shape: ``(C, H, W)`` of the images to be trained on; those that are only looked at can have any.
        precision: number format of the network's passes.

    Raises:
        InputError: style or images have other channels than the network, or are too small for its layers.
    """

    def __init__(
        self, network: Network, style: Tensor, shape: tuple[int, ...], precision: Precision = "float32"
    ) -> None:
        self.network = network
        _check(network, [], shape, f"training images of {shape[1]}×{shape[2]}")
        self.content_layer, self.style_layers = painting_layers(network, shape)
        _check(network, [self.content_layer], shape, f"training images of {shape[1]}×{shape[2]}")
        _check(network, self.style_layers, tuple(style.shape[1:]), "the style image")
        readings = _look(network, self.style_layers, style)
        grams = {layer: gram(readings[layer].float()) for layer in self.style_layers}
        self._style = like_style(grams, dict.fromkeys(grams, 1 / len(grams)))
        self._roughness = total_variation()
        self._target = Reader(network, [self.content_layer], precision)
        self._all = Reader(network, [*self.style_layers, self.content_layer], precision)

    # The readers' hooks, and their way out of a forward pass, are nothing that torch.compile can follow.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def __call__(self, images: Tensor, originals: Tensor) -> Seen:
        """See ``images`` beside the ``originals`` they were made of, ``(N, C, H, W)`` in [0, 1] each."""
        if self.network.mean.device != images.device:
            self.network.to(images.device)
        with frozen(self.network):
            with torch.no_grad():
                target = self._target(originals)[self.content_layer]
            readings = self._all(images)
            content = matching(self.content_layer, target)(readings)
            return Seen(-content, -self._style(readings), self._roughness(readings))


def _check(network: Network, layers: Sequence[str], shape: tuple[int, ...], what: str) -> None:
    try:
        check_size(network, layers, shape)
    except InputError as error:
        raise InputError(f"{what}: the loss network cannot see it: {error}") from error


def _look(network: Network, layers: Sequence[str], images: Tensor) -> Readings:
    with frozen(network), torch.no_grad():
        return Reader(network, layers)(images.to(network.mean.device))
