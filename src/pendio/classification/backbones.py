"""Feature maps of any classifier at chosen strides: what segmentation and detection stand on."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from pendio.classification import models
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["OWN", "Backbone", "backbone"]

OWN = tuple(name for name in models.MODELS if name not in ("mlp", "lenet"))
"""Of pendio's own networks those that give maps at several strides."""

_PROBE = 160
"""Pixels a side of the image that shows which strides there are: 5 times 32, which no usual number of channels is."""

_STRIDES = (1, 2, 4, 8, 16, 32)

_OWN_SHAPE = (3, 256, 256)


class Backbone(nn.Module):
    """The body of a classifier, giving a map at each of several strides.

    A map at stride s has ⌈H/s⌉ × ⌈W/s⌉ cells, or ⌊H/s⌋ × ⌊W/s⌋ where the network pools without padding; of an image whose
    sides are multiples of the largest stride it has exactly H/s × W/s. Layers behind the last map are left out.

    Attributes:
        name: as :func:`backbone` was given it.
        strides: in pixels a cell, finest first.
        channels: of the map at each stride.
        mean, std: of the three colours in [0, 1], as the network expects its images normalised.
    """

    def __init__(
        self,
        name: str,
        body: nn.Module,
        strides: Sequence[int],
        channels: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.name = name
        self.body = body
        self.strides = tuple(strides)
        self.channels = tuple(channels)
        self.mean, self.std = tuple(mean), tuple(std)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps ``(N, C_s, H/s, W/s)`` of normalised images ``(N, 3, H, W)``, finest first."""
        maps = self.body(images)
        return list(maps.values()) if isinstance(maps, dict) else list(maps)


def backbone(
    name: str, *, pretrained: bool = True, weights: str | None = None, strides: Sequence[int] = (8, 16, 32)
) -> Backbone:
    """The body of a classifier by its name; the map at a stride is the last that the network has there.

    Args:
        name: "efficientnet-lite0" (brings its weights), "timm:NAME", "torchvision:NAME", or a name in ``OWN``, which
            start from random weights and take colours in [−1, 1].
        pretrained: start from the weights that timm or torchvision publish.
        weights: a file of weights of this classifier or its body to start from instead, or of a run that trained one.
        strides: in pixels a cell, powers of two.

    Raises:
        InputError: the name is unknown, the network has no map at a stride, or the weights do not fit.
    """
    strides = sorted(set(strides))
    if name in models.MODELS:
        if name not in OWN:
            raise InputError(f"model '{name}' has no maps at several strides; choose {', '.join(OWN)} or a timm:NAME")
        body = models.MODELS[name][1](_OWN_SHAPE)
        if weights is not None:
            models.load_body(body, Path(weights))
        return _traced(name, body, strides, (0.5,) * 3, (0.5,) * 3)
    form = models.preprocessing(name)
    if name == models.LITE0 or name.startswith("timm:"):
        return _of_timm(name, pretrained, weights, strides, form)
    network = models.build(name, (3, form.size, form.size), form.mean, form.std, ["any"],
                           pretrained=pretrained, weights=weights)  # fmt: skip
    return _traced(name, network.module.get_submodule("body"), strides, form.mean, form.std)


def _of_timm(
    name: str, pretrained: bool, weights: str | None, strides: list[int], form: models.Preprocessing
) -> Backbone:
    import timm

    inner = "tf_efficientnet_lite0" if name == models.LITE0 else name.partition(":")[2]
    try:
        with torch.device("meta"):
            info = cast(Any, timm.create_model(inner, features_only=True)).feature_info.get_dicts()
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise InputError(f"timm gives no feature maps of '{inner}': {error}; choose a convolutional network") from error
    places = {int(stage["reduction"]): place for place, stage in enumerate(info)}
    _check(name, strides, places)
    body = timm.create_model(inner, features_only=True, out_indices=[places[stride] for stride in strides])
    if weights is not None or (pretrained or name == models.LITE0):
        whole = models.build(name, (3, form.size, form.size), form.mean, form.std, ["any"],
                             pretrained=pretrained, weights=weights)  # fmt: skip
        _fill(body, whole)
    channels = [int(info[places[stride]]["num_chs"]) for stride in strides]
    made = Backbone(name, body, strides, channels, form.mean, form.std)
    _prove(made)
    return made


def _fill(body: nn.Module, whole: Network) -> None:
    """Weights of a classifier into timm's form of it that gives maps, which joins some names by _ instead of a point."""
    given = {_joined(name): value for name, value in whole.module.get_submodule("body").state_dict().items()}
    wanted = body.state_dict()
    lacking = [name for name in wanted if _joined(name) not in given]
    if lacking:
        raise InputError(f"the feature maps of this timm network need '{lacking[0]}', which the classifier has not")
    body.load_state_dict({name: given[_joined(name)] for name in wanted})


def _joined(name: str) -> str:
    return name.removeprefix("model.").replace(".", "_")


def _traced(name: str, body: nn.Module, strides: list[int], mean: Sequence[float], std: Sequence[float]) -> Backbone:
    """Of a body that torch.fx can follow: the last node at each stride."""
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    was = body.training
    try:
        training, evaluating = get_graph_node_names(body)
        names = [node for node in evaluating if node in set(training)]
        with torch.no_grad():
            everything = create_feature_extractor(body, names).eval()(torch.zeros(1, 3, _PROBE, _PROBE))
    except (fx.proxy.TraceError, RuntimeError, AssertionError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"no feature maps can be had of '{name}': {reason}; choose a convolutional network") from error
    body.train(was)
    last: dict[int, tuple[str, int]] = {}
    for node, output in everything.items():
        # Without padding, sides are no exact shares of the image's, or are so by chance.
        if node != names[0] and isinstance(output, Tensor) and output.ndim == 4:
            fits = [stride for stride in _STRIDES if output.shape[2:] == (_PROBE // stride, _PROBE // stride)]
            last |= dict.fromkeys(fits, (node, output.shape[1]))
    _check(name, strides, last)
    found = [last[stride] for stride in strides]
    maps = create_feature_extractor(body, {node: str(stride) for stride, (node, _) in zip(strides, found, strict=True)})
    return Backbone(name, maps.train(was), strides, [channels for _, channels in found], mean, std)


def _check(name: str, wanted: Sequence[int], known: Collection[int]) -> None:
    for stride in wanted:
        if stride not in known:
            has = ", ".join(map(str, sorted(known))) or "none"
            raise InputError(f"'{name}' has no feature map at stride {stride}; it has them at {has}")


def _prove(made: Backbone) -> None:
    """Refuse what gives no maps with channels first, as some transformers do not."""
    was = made.training
    with torch.no_grad():
        try:
            maps = made.eval()(torch.zeros(1, 3, _PROBE, _PROBE))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise InputError(f"'{made.name}' does not take images of any size: {reason}") from error
    made.train(was)
    for stride, channels, given in zip(made.strides, made.channels, maps, strict=True):
        wanted = (1, channels, _PROBE // stride, _PROBE // stride)
        if given.shape != wanted:
            raise InputError(
                f"'{made.name}' gives {tuple(given.shape)} at stride {stride} of an image of {_PROBE}×{_PROBE} "
                f"instead of {wanted}; choose a convolutional network"
            )
