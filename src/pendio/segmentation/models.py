"""Every segmenter by name: U-Nets, fully convolutional networks, and U-Nets on the encoders of timm and torchvision."""

from collections.abc import Sequence

from torch import Tensor, nn

from pendio.classification.backbones import backbone
from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network
from pendio.runs.run import Run
from pendio.segmentation.networks.encoded import EncodedUNet
from pendio.segmentation.networks.fcn import FCN, fcn
from pendio.segmentation.networks.unet import UNet
from pendio.segmentation.options import SegmentOptions
from pendio.segmentation.tiling import Extent, measured, mirrored

__all__ = ["MODELS", "Covering", "body_name", "build", "in_parts"]

MODELS = {
    "unet": "U-Net with padded convolutions and batch normalisation (2015)",
    "unet-valid": "U-Net as published: unpadded, on images that are mirrored around (2015)",
    "fcn-32s": "fully convolutional network on a backbone, 32 pixels a cell (2015)",
    "fcn-16s": "the same with a finer map joined in, 16 pixels a cell (2015)",
    "fcn-8s": "the same with two finer maps joined in, 8 pixels a cell (2015)",
}
"""Name → a line about it; encoders of a U-Net are models too: efficientnet-lite0, timm:NAME and torchvision:NAME."""

_ENCODER_STRIDES = (2, 4, 8, 16, 32)
_FCN = {"fcn-32s": 32, "fcn-16s": 16, "fcn-8s": 8}


class Covering(nn.Module):
    """An unpadded U-Net on images that are mirrored at their borders, so that its output covers them.

    This is the paper's way to segment images to their borders (Ronneberger, Fischer and Brox, 2015, figure 2), in training
    as well: every pixel of the mask counts.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network

    @property
    def extent(self) -> Extent:
        """See :class:`pendio.segmentation.tiling.Extent`."""
        return self.network.extent

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(N, K, H, W)`` of images ``(N, C, H, W)`` of any size."""
        logits: Tensor = self.network(mirrored(images, self.extent))
        return logits[:, :, : images.shape[2], : images.shape[3]]


def build(
    options: SegmentOptions, shape: Sequence[int], classes: Sequence[str], mean: Sequence[float], std: Sequence[float]
) -> Network:
    """The network that options name, giving logits ``(N, K, H, W)`` of images ``(N, C, H, W)`` of any size.

    Args:
        options: which network, and what it starts from.
        shape: ``(C, H, W)`` of the images it is made for.
        classes: names of the classes.
        mean, std: of the data, a number for each channel; a backbone or encoder keeps its own.

    Raises:
        InputError: there is no such network, or its weights cannot be had or do not fit.
    """
    name, count = options.model, len(classes)
    if name in ("unet", "unet-valid"):
        padded = name == "unet"
        unet = UNet(shape[0], count, options.width, padded=padded, dropout=options.plan.dropout)
        return Network(unet if padded else Covering(unet), shape, mean, std, classes)
    if shape[0] != 3:
        raise InputError(f"--model {name} takes images with 3 channels; these have {shape[0]}")
    if name in _FCN:
        made = fcn(options.backbone, count, _FCN[name], pretrained=options.pretrained, weights=options.weights)
        if options.stage_from is not None:
            _take_up(made, options, classes)
        return Network(made, shape, made.backbone.mean, made.backbone.std, classes)
    if name != "efficientnet-lite0" and not name.startswith(("timm:", "torchvision:")):
        known = [*MODELS, "efficientnet-lite0", "timm:NAME", "torchvision:NAME"]
        raise InputError(f"unknown model '{name}' in --model: {did_you_mean(name, known)}")
    body = backbone(name, pretrained=options.pretrained, weights=options.weights, strides=_ENCODER_STRIDES)
    return Network(EncodedUNet(body, count, options.width), shape, body.mean, body.std, classes)


def body_name(options: SegmentOptions) -> str | None:
    """The child of a network's module that the rest stands on; None where there is none."""
    if not options.has_body:
        return None
    return "backbone" if options.model in _FCN else "encoder"


def _take_up(network: FCN, options: SegmentOptions, classes: Sequence[str]) -> None:
    """Go on from a coarser network of another run.

    Raises:
        InputError: that run is of another kind, backbone or set of classes.
    """
    run = Run.open(str(options.stage_from))
    given = SegmentOptions.of(run.options("segment"))
    if _FCN.get(given.model, 0) != 2 * _FCN[options.model]:
        wanted = next(name for name, stride in _FCN.items() if stride == 2 * _FCN[options.model])
        raise InputError(f"--stage-from '{run.folder}' trained '{given.model}'; {options.model} goes on from {wanted}")
    if given.backbone != options.backbone:
        raise InputError(f"--stage-from '{run.folder}' stands on '{given.backbone}'; give --backbone {given.backbone}")
    known = run.config.get("data", {}).get("classes")
    if known != list(classes):
        raise InputError(f"--stage-from '{run.folder}' was trained on other classes than this data has")
    prefix = "network.module."
    weights = {name.removeprefix(prefix): value for name, value in run.weights().items() if name.startswith(prefix)}
    network.load_stage(weights)


def in_parts(network: Network) -> tuple[nn.Module, Extent]:
    """What gives the logits of a tile, and what must be known to cut tiles for it.

    Raises:
        InputError: the network sees the whole image, so that no tiles give the same.
    """
    module = network.module
    if isinstance(module, Covering):
        # Tiles are mirrored where they reach beyond the image, and nowhere else.
        return module.network, module.extent
    return module, module.extent if isinstance(module, UNet) else measured(module, network.shape[0], 32)
