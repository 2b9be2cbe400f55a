"""Networks made ready for inference: batch normalisation folded away, kernels laid out once as the processor reads them."""

import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pendio.nn.convolution import CausalConv1d, Conv2d

__all__ = ["fused", "packed"]

_Module = TypeVar("_Module", bound=nn.Module)

_CONVOLUTIONS = {nn.Conv1d, nn.Conv2d, nn.Conv3d, Conv2d, CausalConv1d}
"""By exact type: a subclass of somebody else's may change the kernel before it uses it, as weight standardisation does."""

_NORMALIZATIONS = {nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d}


def fused(module: _Module, pairs: Sequence[tuple[str, str]] = ()) -> _Module:
    """A copy for inference in which convolutions do the work of the batch normalisations after them.

    In inference a batch normalisation is a fixed scale and shift of each channel, so that γ(Wx + b − μ)/√(v + ε) + β =
    W′x + b′ with W′ = γW/√(v + ε) and b′ = γ(b − μ)/√(v + ε) + β: one pass over the maps less. An identity stands where the
    normalisation stood. Pairs are found where they follow one another in a ``torch.nn.Sequential``. Left as they are: a
    layer that is used in several places or has hooks, a normalisation without running statistics, other kinds of either.

    Args:
        module: in inference mode; stays as it is.
        pairs: names of a convolution and of the normalisation that alone reads it, as attributes of the same module, such
            as ("conv1", "bn1"): in every submodule that has both. What its forward does between them is not seen from here.

    Raises:
        ValueError: the module is in training mode, where normalisation depends on the batch.
    """
    if module.training:
        raise ValueError("normalisation is folded in inference mode alone: call .eval() first")
    out = copy.deepcopy(module)
    uses = Counter(id(child) for parent in out.modules() for child in parent._modules.values())
    for parent, first, second in list(_pairs(out, pairs)):
        convolution, normalization = parent.get_submodule(first), parent.get_submodule(second)
        if _foldable(convolution, normalization) and uses[id(convolution)] == uses[id(normalization)] == 1:
            # mypy cannot know the kinds that were just checked.
            setattr(parent, first, fuse_conv_bn_eval(convolution, normalization))  # type: ignore[type-var, arg-type]
            setattr(parent, second, nn.Identity())
    return out


def packed(module: _Module, images: Tensor) -> _Module:
    """A copy for inference on the CPU whose kernels lie in memory as oneDNN reads them; the same answers to rounding.

    Torch lays the kernels of large convolutions out anew at every call, which for one image costs a tenth of the time. Here
    it is done once, and a leaky rectifier that follows in a ``torch.nn.Sequential`` is computed where its values arise. The
    copy cannot be trained, saved or moved; memory is ``channels_last``. On other devices, in other number formats, and where
    torch comes without oneDNN, it is :func:`fused` in ``channels_last`` alone.

    Args:
        module: in inference mode.
        images: ``(N, C, H, W)`` such as it will see: kernels are laid out for maps of that size. Others are answered too.

    Raises:
        ValueError: the module is in training mode.
    """
    out = fused(module).requires_grad_(False).to(memory_format=torch.channels_last)
    if images.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return out
    shapes = _input_shapes(out, images)
    uses = Counter(id(child) for parent in out.modules() for child in parent._modules.values())
    for parent in list(out.modules()):
        for name, layer in list(parent.named_children()):
            if id(layer) in shapes and uses[id(layer)] == 1:
                setattr(parent, name, _Packed(layer, shapes[id(layer)], _slope_after(parent, name)))  # type: ignore[arg-type]
    return out


def _input_shapes(module: nn.Module, images: Tensor) -> dict[int, tuple[int, ...]]:
    """Identity of each convolution that can be packed → shape of the maps that reach it."""
    shapes: dict[int, tuple[int, ...]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if inputs[0].dtype == torch.float32:
            shapes[id(layer)] = tuple(inputs[0].shape)

    hooks = [layer.register_forward_pre_hook(note) for layer in module.modules() if _packable(layer)]
    with torch.inference_mode():
        module(images.contiguous(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    return shapes


def _packable(layer: nn.Module) -> bool:
    return (
        type(layer) is nn.Conv2d
        and not _hooked(layer)
        and layer.padding_mode == "zeros"
        and isinstance(layer.padding, tuple)
        and layer.weight.dtype == torch.float32
    )


def _slope_after(parent: nn.Module, name: str) -> float | None:
    """Takes the leaky rectifier after a convolution out of a chain; its slope, if there is one."""
    if type(parent).forward is not nn.Sequential.forward:
        return None
    names = list(parent._modules)
    for other in names[names.index(name) + 1 :]:
        layer = parent.get_submodule(other)
        if type(layer) is nn.LeakyReLU and not _hooked(layer):
            setattr(parent, other, nn.Identity())
            return layer.negative_slope
        if type(layer) is not nn.Identity:
            return None
    return None


class _Packed(nn.Module):
    """A convolution by the operation that torch's own compiler puts in its place, with or without a leaky rectifier."""

    def __init__(self, layer: nn.Conv2d, shape: tuple[int, ...], slope: float | None) -> None:
        super().__init__()
        assert isinstance(layer.padding, tuple)
        self.geometry = [*layer.padding], [*layer.stride], [*layer.dilation], layer.groups
        self.activation = ("none", []) if slope is None else ("leaky_relu", [slope])
        self.kernel = torch.ops.mkldnn._reorder_convolution_weight(layer.weight.detach(), *self.geometry, list(shape))
        self.shift = None if layer.bias is None else layer.bias.detach()

    def forward(self, maps: Tensor) -> Tensor:
        name, numbers = self.activation
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            maps, self.kernel, self.shift, *self.geometry, name, numbers, ""
        )
        return out


def _pairs(module: nn.Module, named: Sequence[tuple[str, str]]) -> Iterator[tuple[nn.Module, str, str]]:
    for parent in module.modules():
        names = [name for name, child in parent._modules.items() if child is not None]
        if type(parent).forward is nn.Sequential.forward:
            yield from ((parent, first, second) for first, second in itertools.pairwise(names))
        yield from ((parent, *pair) for pair in named if {*pair} <= {*names})


def _foldable(convolution: nn.Module, normalization: nn.Module) -> bool:
    return (
        type(convolution) in _CONVOLUTIONS
        and type(normalization) in _NORMALIZATIONS
        and not _hooked(convolution)
        and not _hooked(normalization)
        and not normalization.training
        and normalization.running_mean is not None
        and normalization.num_features == convolution.out_channels
    )


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)
