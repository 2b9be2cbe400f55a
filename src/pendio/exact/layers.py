"""Truths about layers, and about counting them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.anatomy import summary
from pendio.anatomy.matrix import convolution_matrix
from pendio.classification.models import blank
from pendio.exact.check import Check
from pendio.nn import convolution, normalization, residual, separable, squeeze

__all__ = ["CHECKS"]


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _gap(one: Tensor, two: Tensor) -> float:
    """The largest difference; infinite where the shapes differ."""
    return float((one - two).abs().max()) if one.shape == two.shape else math.inf


CONVOLUTIONS = (
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": (2, 3), "stride": (2, 1), "padding": (1, 0)},
    {"kernel_size": 5, "padding": 4, "dilation": (1, 2)},
    {"kernel_size": 3, "groups": 2, "stride": 2, "padding": 1},
)
"""Settings that differ in everything a convolution has."""


@torch.no_grad()
def _matrix() -> tuple[float, float]:
    torch.manual_seed(0)
    images, worst = _random(2, 4, 7, 6), 0.0
    for settings in CONVOLUTIONS:
        layer = nn.Conv2d(4, 6, bias=False, dtype=torch.float64, **settings)
        product = (convolution_matrix(layer, (7, 6)) @ images.flatten(1).T).T
        worst = max(worst, _gap(product, layer(images).flatten(1)))
    return worst, 0


@torch.no_grad()
def _transposed() -> tuple[float, float]:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2, bias=False, dtype=torch.float64)
    images = _random(2, 4, 5, 4)
    product = (convolution_matrix(layer, (5, 4)) @ images.flatten(1).T).T
    forward = nn.Conv2d(6, 4, 3, 2, 1, groups=2, bias=False, dtype=torch.float64)
    forward.weight.copy_(layer.weight)
    transposed = convolution_matrix(forward, layer(images).shape[2:]).to_dense().T
    own = _gap(product, layer(images).flatten(1))
    return max(own, _gap(transposed, convolution_matrix(layer, (5, 4)).to_dense())), 0


@torch.no_grad()
def _same() -> tuple[float, float]:
    """Against torch's own where it has one; with a stride, against every second place of that for odd sides."""
    torch.manual_seed(0)
    ours = convolution.Conv2d(3, 4, 3, padding="same", dilation=2).double()
    theirs = nn.Conv2d(3, 4, 3, padding="same", dilation=2, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    images = _random(2, 3, 9, 7)
    strided = convolution.Conv2d(3, 4, 3, stride=2, padding="same").double()
    plain = nn.Conv2d(3, 4, 3, padding="same", dtype=torch.float64)
    plain.load_state_dict(strided.state_dict())
    return max(_gap(ours(images), theirs(images)), _gap(strided(images), plain(images)[:, :, ::2, ::2])), 0


@torch.no_grad()
def _output_size() -> tuple[float, float]:
    """Wrong sizes among 240 convolutions: ⌊(H + 2p − d(k − 1) − 1)/s⌋ + 1."""
    wrong = 0
    for side in range(8, 13):
        for k, s, p, d in ((k, s, p, d) for k in (1, 2, 3, 4) for s in (1, 2, 3) for p in (0, 1) for d in (1, 2)):
            layer = convolution.Conv2d(1, 1, k, s, p, d)
            formula = math.floor((side + 2 * p - d * (k - 1) - 1) / s) + 1
            wrong += layer(torch.zeros(1, 1, side, side)).shape[2] != formula
    return wrong, 0


@torch.no_grad()
def _causal() -> tuple[float, float]:
    """What the past's outputs change by when the future does, and what remains of a pulse's reach: 1 + d(k − 1)."""
    torch.manual_seed(0)
    layer = convolution.CausalConv1d(2, 3, 3, dilation=2).double()
    sequences = _random(1, 2, 12)
    changed = sequences.clone()
    changed[:, :, 6:] += 1
    past = _gap(layer(sequences)[:, :, :6], layer(changed)[:, :, :6])
    pulse = sequences.clone()
    pulse[:, :, 3] += 1
    reached = (layer(pulse) - layer(sequences)).abs().sum((0, 1)).nonzero()[:, 0].tolist()
    return past + (reached != [3, 5, 7]), 0


@torch.no_grad()
def _separable() -> tuple[float, float]:
    """Equal to the full convolution with the product of both kernels."""
    torch.manual_seed(0)
    layer = separable.SeparableConv2d(4, 5, 3, 2).double()
    kernel = layer.pointwise.weight * layer.depthwise.weight.transpose(0, 1)
    images = _random(2, 4, 8, 8)
    return _gap(layer(images), F.conv2d(images, kernel, stride=2, padding=1)), 0


@torch.no_grad()
def _batch_norm() -> tuple[float, float]:
    """Outputs and running statistics after three batches in training, then the outputs in inference."""
    ours, theirs = normalization.BatchNorm(4).double(), nn.BatchNorm2d(4, dtype=torch.float64)
    worst = 0.0
    for number in range(3):
        images = _random(6, 4, 3, 2) * (number + 1) + number
        worst = max(worst, _gap(ours(images), theirs(images)))
    mean, variance = theirs.running_mean, theirs.running_var
    assert mean is not None
    assert variance is not None
    worst = max(worst, _gap(ours.running_mean, mean), _gap(ours.running_variance, variance))
    return max(worst, _gap(ours.eval()(_random(2, 4, 3, 2)), theirs.eval()(_random(2, 4, 3, 2)))), 0


@torch.no_grad()
def _running_statistics() -> tuple[float, float]:
    """With momentum 1 the running variance is the last batch's own, divided by N − 1."""
    layer = normalization.BatchNorm(1, momentum=1.0).double()
    images = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64).view(4, 1, 1, 1)
    layer(images)
    return float(layer.running_variance), ((2**2) + 1 + 0 + 3**2) / 3


def _other_norms() -> tuple[float, float]:
    images = _random(3, 4, 5, 2)
    layer = _gap(normalization.normalize(images, normalization.AXES["layer"]), F.layer_norm(images, images.shape[1:]))
    instance = _gap(normalization.normalize(images, normalization.AXES["instance"]), F.instance_norm(images))
    groups = images.view(3, 2, 2, 5, 2)
    group = _gap(normalization.normalize(groups, (2, 3, 4)).view_as(images), F.group_norm(images, 2))
    return max(layer, instance, group), 0


@torch.no_grad()
def _squeeze() -> tuple[float, float]:
    torch.manual_seed(0)
    layer, images = squeeze.SqueezeExcitation(8).double(), _random(2, 8, 5, 5)
    down, up = layer.squeeze, layer.excite
    assert down.bias is not None
    assert up.bias is not None
    hidden = torch.relu(images.mean((2, 3)) @ down.weight[:, :, 0, 0].T + down.bias)
    gains = 1 / (1 + torch.exp(-(hidden @ up.weight[:, :, 0, 0].T + up.bias)))
    return _gap(layer(images), images * gains[:, :, None, None]), 0


@torch.no_grad()
def _joins() -> tuple[float, float]:
    """Residual connections by sum and by concatenation, with a branch that doubles."""
    double = nn.Conv2d(3, 3, 1, groups=3, bias=False, dtype=torch.float64)
    nn.init.constant_(double.weight, 2.0)
    images = _random(2, 3, 4, 4)
    by_sum = _gap(residual.Residual(double)(images), 3 * images)
    return max(by_sum, _gap(residual.Concatenation(double)(images), torch.cat([images, 2 * images], 1))), 0


def _pooling() -> tuple[float, float]:
    """Mean pooling is a convolution with equal weights; max pooling the limit of ever higher power means."""
    images = _random(2, 3, 6, 6).abs() + 1
    kernel = torch.full((3, 1, 2, 2), 0.25, dtype=torch.float64)
    mean = _gap(F.avg_pool2d(images, 2), F.conv2d(images, kernel, stride=2, groups=3))
    power = F.avg_pool2d(images**400, 2) ** (1 / 400)
    return max(mean, max(0.0, _gap(F.max_pool2d(images, 2), power) - 0.02)), 0


def _vgg_parameters() -> tuple[float, float]:
    module, shape = blank("torchvision:vgg16", None)
    return summary.summarize(module, shape).parameters, 138_357_544


def _vgg_operations() -> tuple[float, float]:
    """K²·D_in·D_out·O² over the thirteen convolutions, and S_in·S_out over the three dense layers."""
    module, shape = blank("torchvision:vgg16", None)
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    sides = [224] * 2 + [112] * 2 + [56] * 3 + [28] * 3 + [14] * 3
    dense = 512 * 49 * 4096 + 4096**2 + 4096 * 1000
    total = sum(9 * a * b * side**2 for a, b, side in zip(channels, channels[1:], sides, strict=False)) + dense
    return summary.summarize(module, shape).multiply_adds, total


def _layer_formulas() -> tuple[float, float]:
    """Wrong numbers of parameters among a dense layer, a convolution and a separable one, each with biases."""
    layers: list[tuple[nn.Module, tuple[int, ...], int]] = [
        (nn.Linear(30, 7), (30,), 30 * 7 + 7),
        (nn.Conv2d(3, 8, (3, 5)), (3, 9, 9), 3 * 5 * 3 * 8 + 8),
        (separable.SeparableConv2d(6, 8, 3, bias=True), (6, 9, 9), (9 * 6 + 6) + (6 * 8 + 8)),
    ]
    return sum(summary.summarize(layer, shape).parameters != count for layer, shape, count in layers), 0


def _receptive_field() -> tuple[float, float]:
    module, shape = blank("torchvision:resnet18", None)
    layers = {layer.name: layer for layer in summary.summarize(module, shape).layers}
    field = layers["layer4.1.bn2"].field
    return (field.axes[0].size if field and field.axes else math.inf), 435


CHECKS = (
    Check("convolution-matrix", "a convolution is the product with its sparse matrix", _matrix, 1e-12),
    Check("convolution-transposed", "a transposed convolution is that with the transposed matrix", _transposed, 1e-12),
    Check("convolution-same", "`same` padding equals torch's, and keeps ⌈H/s⌉ places with a stride", _same, 1e-12),
    Check("convolution-size", "maps have ⌊(H + 2p − d(k − 1) − 1)/s⌋ + 1 places: wrong ones", _output_size),
    Check("convolution-causal", "a causal convolution sees no future, and 1 + d(k − 1) of the past", _causal, 1e-12),
    Check("convolution-separable", "equals the full convolution with the kernels' product", _separable, 1e-12),
    Check("pooling", "mean pooling is a convolution, max pooling a limit of means", _pooling, 1e-12),
    Check("batch-norm", "equals torch's in training and inference, running statistics included", _batch_norm, 1e-12),
    Check("batch-norm-variance", "the running variance divides by N − 1", _running_statistics, 1e-12),
    Check("layer-group-instance-norm", "one formula over other axes gives torch's three layers", _other_norms, 1e-12),
    Check("squeeze-excitation", "scales channels by σ(W₂ relu(W₁ mean))", _squeeze, 1e-12),
    Check("residual", "sum and concatenation of both ways", _joins, 1e-12),
    Check("summary-parameters", "VGG-16 has 138,357,544 parameters", _vgg_parameters),
    Check("summary-operations", "VGG-16's multiply-adds by the formulae, layer by layer", _vgg_operations),
    Check(
        "summary-formulas", "dense, convolutional and separable layers by their formulae: wrong ones", _layer_formulas
    ),
    Check("receptive-field", "ResNet-18's last map sees 435 pixels across", _receptive_field),
)
