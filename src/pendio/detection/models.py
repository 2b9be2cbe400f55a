"""Every single-shot detector by name: darknet's own, those of .cfg files, and backbones with a neck."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pendio.classification.backbones import backbone
from pendio.detection.anchors import assign_scales
from pendio.detection.darknet.catalogue import ANCHORS, BODY, DETECTOR_STRIDES, DETECTORS, TINY_ANCHORS
from pendio.detection.darknet.cfg import parse_cfg, read_cfg
from pendio.detection.darknet.network import DarknetNetwork
from pendio.detection.darknet.sections import Config, Yolo
from pendio.detection.darknet.weights import fits, read_weights
from pendio.detection.necks.detector import PyramidDetector
from pendio.detection.necks.pyramids import neck
from pendio.detection.options import DetectOptions
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["MODELS", "anchor_count", "build", "clusters_anchors", "is_darknet", "published_network", "start_from"]

MODELS = {
    "yolov3-tiny": "YOLOv3-tiny: 13 convolutions, two scales, 8.9 million parameters at 80 classes (2018)",
    "yolov3": "YOLOv3 on Darknet-53: 75 convolutions, three scales, 61.9 million parameters at 80 classes (2018)",
    "rcnn": "regions proposed by selective search, cut out and classified (2014)",
}
"""Name → a line about it; .cfg files and backbones are models too."""

_STRIDES = {"cnn": (4, 8, 16)}
"""Where a backbone has no (8, 16, 32)."""


def is_darknet(model: str) -> bool:
    """Whether darknet could run it: one of its detectors, or a .cfg file."""
    return model in DETECTORS or model.endswith(".cfg")


def anchor_count(options: DetectOptions) -> int:
    """How many anchors to cluster."""
    if options.anchor_count is not None:
        return options.anchor_count
    if options.model.endswith(".cfg"):
        return len(_heads(_read_detector(Path(options.model)))[0].anchors)
    return sum(len(share) for share in (TINY_ANCHORS if options.model == "yolov3-tiny" else ANCHORS))


def clusters_anchors(options: DetectOptions) -> bool:
    """Whether anchors are clustered from the training boxes: ready weights expect the anchors they were trained with."""
    ready = options.model.endswith(".cfg") or (is_darknet(options.model) and options.weights is not None)
    if options.anchors == "published" and not is_darknet(options.model):
        raise InputError(f"--anchors published: nobody published any for '{options.model}'; leave it out")
    clustered = options.anchors == "data" or (options.anchors == "auto" and not ready)
    if options.anchor_count is not None and (not clustered or options.model.endswith(".cfg")):
        raise InputError("--anchor-count is for anchors that are clustered, and the model has its own; leave it out")
    return clustered


def _config(options: DetectOptions, classes: int, anchors: Tensor | None) -> Config:
    """The layers of a darknet detector.

    Args:
        options: which.
        classes: how many it tells apart.
        anchors: ``(k, 2)`` in pixels at the training size; None for the published ones.

    Raises:
        InputError: the .cfg file is damaged, is no detector, or tells another number of classes apart.
    """
    if options.model in DETECTORS:
        if anchors is None:
            return DETECTORS[options.model](classes, size=options.side)
        shares = [scale.anchors for scale in assign_scales(anchors, DETECTOR_STRIDES[options.model])]
        return DETECTORS[options.model](classes, shares, options.side)
    config = _read_detector(Path(options.model))
    known = _heads(config)[0].classes
    if known != classes:
        raise InputError(f"'{options.model}' tells {known} classes apart, and the data has {classes}; set "
                         "classes= in each [yolo] and filters= before it")  # fmt: skip
    if anchors is None:
        return config
    sizes = tuple((width, height) for width, height in anchors.tolist())
    layers = (
        dataclasses.replace(layer, anchors=sizes, num=len(sizes)) if isinstance(layer, Yolo) else layer
        for layer in config.layers
    )
    return dataclasses.replace(config, layers=tuple(layers))


def _read_detector(path: Path) -> Config:
    config = read_cfg(path)
    if not _heads(config):
        raise InputError(f"'{path}' is no detector: it has no [yolo] section")
    return config


def _heads(config: Config) -> list[Yolo]:
    return [layer for layer in config.layers if isinstance(layer, Yolo)]


def build(
    options: DetectOptions, classes: Sequence[str], anchors: Tensor | None, *, config: str | None = None, fresh: bool = True
) -> Network:  # fmt: skip
    """The untrained network.

    Args:
        options: which model.
        classes: names.
        anchors: ``(k, 2)`` in pixels at the training size, by rising area; None for the model's published ones.
        config: the text of the .cfg file, where a run has kept it.
        fresh: start a backbone from its published weights or a file, not from random ones to be filled later.

    Raises:
        InputError: the model is unknown or does not fit.
    """
    if is_darknet(options.model):
        chosen = _config(options, len(classes), anchors) if config is None else parse_cfg(config, options.model)
        return _of_darknet(DarknetNetwork(chosen), options.side, classes)
    strides = _STRIDES.get(options.model, (8, 16, 32))
    weights = options.weights if fresh else None
    body = backbone(options.model, pretrained=fresh and options.pretrained, weights=weights, strides=strides)
    levels = neck(options.neck, body, options.width)
    assert anchors is not None, "backbones have no published anchors"
    scales = assign_scales(anchors, levels.strides)
    module = PyramidDetector(levels, options.width, scales, len(classes))
    return Network(module, (3, options.side, options.side), body.mean, body.std, classes)


def _of_darknet(module: DarknetNetwork, size: int, classes: Sequence[str]) -> Network:
    """darknet takes colours in [0, 1] as they are."""
    return Network(module, (3, size, size), [0.0] * 3, [1.0] * 3, classes)


def start_from(network: Network, options: DetectOptions) -> str:
    """Fill a darknet network with --weights: all of them, or the layers that know nothing of the classes.

    Returns:
        What was taken, as a sentence; empty where there was nothing to take.

    Raises:
        InputError: the file fits in no way.
    """
    module = network.module
    if options.weights is None or not isinstance(module, DarknetNetwork):
        return ""
    path = Path(options.weights)
    if path.suffix not in ("", ".weights") and not path.suffix[1:].isdigit():
        raise InputError(f"--weights of '{options.model}' is a darknet .weights file, not '{path.suffix}'")
    if fits(path, module):
        read_weights(path, module)
        return f"started from all weights in {path}"
    layers = BODY.get(options.model, _first_head(module.config) - 1)
    read_weights(path, module, layers)
    return f"started from the first {layers} layers in {path}: the rest of it is for other classes"


def _first_head(config: Config) -> int:
    return next(number for number, layer in enumerate(config.layers) if isinstance(layer, Yolo))


def published_network(cfg: Path, weights: Path, classes: Sequence[str]) -> Network:
    """A darknet detector as its files describe it.

    Raises:
        InputError: a file is missing or damaged, the files do not belong together, or the names are too few or many.
    """
    module = DarknetNetwork(_read_detector(cfg))
    if len(classes) != module.classes:
        raise InputError(f"'{cfg}' tells {module.classes} classes apart, and there are {len(classes)} names of them")
    read_weights(weights, module)
    return _of_darknet(module, module.config.net.width, classes)
