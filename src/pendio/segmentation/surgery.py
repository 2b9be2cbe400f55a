"""How a classifier is made fully convolutional: its graph is followed to the last map, and rewritten from there."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from pendio.errors import InputError

__all__ = ["NEW", "ChannelNorm", "Surgery", "trace"]

_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)

NEW = "convolutional"
"""How the names of new layers begin."""

_GLOBAL = (1, 1)


class _Tracer(fx.Tracer):
    """Looks only into modules that turn maps into something else: a body may do what tracing cannot follow."""

    def __init__(self, whole: set[nn.Module]) -> None:
        super().__init__()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = (nn.Linear, nn.Flatten, nn.LayerNorm, nn.BatchNorm1d)
        return m in self._whole or isinstance(m, known) or super().is_leaf_module(m, module_qualified_name)


class _Shapes(fx.Interpreter):
    """Notes the shape of each node's output."""

    def run_node(self, n: fx.Node) -> Any:
        output = super().run_node(n)
        n.meta["shape"] = tuple(output.shape) if isinstance(output, Tensor) else None
        return output


def trace(module: nn.Module, native: Tensor) -> tuple[fx.GraphModule, Tensor]:
    """The network as a graph whose nodes know their shapes, and what it answers."""
    whole, answer = _keep_maps(module, native)
    try:
        traced = fx.GraphModule(module, _Tracer(whole).trace(module))
        _Shapes(traced).run(native)
    except Exception as error:
        # Tracing a network of any make raises whatever its code does with what is no number.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"this network cannot become convolutional: {reason[:150]}") from error
    return traced, answer


def _keep_maps(module: nn.Module, native: Tensor) -> tuple[set[nn.Module], Tensor]:
    """Modules from maps to maps that bring them to no fixed size: they stay as they are. And the network's answer."""
    whole: set[nn.Module] = set()
    other: set[nn.Module] = set()
    grids: set[nn.Module] = set()

    def look(part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        maps = isinstance(output, Tensor) and output.ndim == 4 and isinstance(inputs[0], Tensor) and inputs[0].ndim == 4
        wide = maps and output.shape[2:] != (1, 1)
        if wide and isinstance(part, _POOLS):
            grids.add(part)
        pools = any(isinstance(inner, _POOLS) for inner in part.modules())
        fixed = any(inner in grids for inner in part.modules())
        (whole if maps and not fixed and (wide or not pools) else other).add(part)

    hooks = [part.register_forward_hook(look) for part in module.modules()]
    try:
        answer = module(native)
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(answer, Tensor):
        raise InputError(f"this network returns a {type(answer).__name__} instead of logits")
    return whole - other, answer


class ChannelNorm(nn.Module):
    """``nn.LayerNorm`` of the channels at each place of maps ``(N, C, h, w)``."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise."""
        return cast(Tensor, self.norm(maps.movedim(1, -1)).movedim(-1, 1))


class Surgery:
    """Rewrites what follows the last map of a traced classifier, node by node.

    Nodes that are rows ``(N, F)`` in the classifier become maps. Of such a node ``_sides`` says of what map its row was
    made, if of more than one place: the next dense layer is a kernel of this size. Where that map itself was the mean over
    the parts of a larger one, ``_means`` has those means as a matrix ``(places, larger places)``, and the size of the
    larger: the kernel takes them in.
    """

    def __init__(self, traced: fx.GraphModule, pooled: bool) -> None:
        self._traced = traced
        self._graph = traced.graph
        self._pooled = pooled
        self._before = {node: _shape(_first(node)) for node in self._graph.nodes}
        self._sides: dict[fx.Node, tuple[int, int]] = {}
        self._means: dict[fx.Node, tuple[Tensor, tuple[int, int]]] = {}
        self._left_out: tuple[int, int] | None = None

    def operate(self) -> tuple[int, int]:
        """Change the network; the size of its map at the native size is returned."""
        for node in list(self._graph.nodes):
            change = self._change_for(node)
            if change is not None:
                change(node)
        self._graph.eliminate_dead_code()
        self._graph.lint()
        self._traced.delete_all_unused_submodules()
        self._traced.recompile()
        if not self._pooled and self._left_out is None:
            raise InputError("this network has no global mean to leave out before its linear layers")
        return self._left_out or _GLOBAL

    def _change_for(self, node: fx.Node) -> Callable[[fx.Node], None] | None:
        """What is to be done with a node; None where it works on maps of any size as it is."""
        shape, before = _shape(node), self._before[node]
        if not node.op.startswith("call_") or not shape or not before:
            return None
        layer = self._layer(node)
        if _is_pool(node, layer, shape, before):
            return None if _returns_to_a_map(node) else self._pool
        if len(before) == len(shape) == 4:
            return None
        if len(before) == 4 and shape == (before[0], math.prod(before[1:])):
            return self._flatten
        if len(before) == len(shape) == 2:
            if isinstance(layer, nn.Linear):
                return self._connect
            if isinstance(layer, nn.LayerNorm | nn.BatchNorm1d):
                return self._normalize
            if shape == before and not (layer and any(True for _ in layer.parameters())):
                return self._bend
        raise InputError(
            f"this network cannot become convolutional: {_name(node, layer)} turns {list(before)} into {list(shape)}, "
            "which is neither a pooling, a flattening nor a dense layer"
        )

    def _layer(self, node: fx.Node) -> nn.Module | None:
        return self._traced.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _pool(self, node: fx.Node) -> None:
        source, before, after = _source(node), cast(tuple[int, ...], self._before[node]), _shape(node) or ()
        sides, out = (before[2], before[3]), after[2:] or _GLOBAL
        largest = isinstance(self._layer(node), nn.AdaptiveMaxPool2d) or "max" in str(node.target)
        if out == _GLOBAL and self._pooled:
            kind = nn.MaxPool2d if largest else nn.AvgPool2d
            self._replace(node, "pool", kind(sides, stride=1))
            return
        if largest and sides != out:
            raise InputError("a maximum over parts of a map can neither be left out nor become a convolution")
        if out == _GLOBAL:
            self._left_out = sides
        elif sides != out:
            self._means[source] = (_means(sides, (out[0], out[1])), sides)
        self._skip(node)

    def _flatten(self, node: fx.Node) -> None:
        before = cast(tuple[int, ...], self._before[node])
        self._sides[_source(node)] = (before[2], before[3])
        self._skip(node)

    def _connect(self, node: fx.Node) -> None:
        source, linear = _source(node), cast(nn.Linear, self._layer(node))
        weight, sides = linear.weight.detach(), self._sides.get(source, _GLOBAL)
        weight = weight.view(len(weight), -1, math.prod(sides))
        if source in self._means:
            means, sides = self._means[source]
            weight = weight @ means.to(weight)
        layer = nn.Conv2d(weight.shape[1], len(weight), sides, bias=linear.bias is not None, device="meta")
        layer.weight = nn.Parameter(weight.view(*weight.shape[:2], *sides), linear.weight.requires_grad)
        layer.bias = linear.bias
        self._replace(node, "conv", layer)

    def _normalize(self, node: fx.Node) -> None:
        layer = self._layer(node)
        assert layer is not None
        if self._sides.get(_source(node), _GLOBAL) != _GLOBAL:
            raise InputError(f"a {type(layer).__name__} of a flattened map cannot become convolutional")
        if isinstance(layer, nn.LayerNorm):
            self._refuse_after_mean(type(layer).__name__)
            layer = ChannelNorm(layer)
        else:
            layer = _wider(cast(nn.BatchNorm1d, layer))
        self._replace(node, "norm", layer)

    def _bend(self, node: fx.Node) -> None:
        """Activations and dropout work number by number: they stay, and see maps instead of rows."""
        source, name = _source(node), _name(node, self._layer(node))
        if not any(linear in name.lower() for linear in ("dropout", "identity")):
            self._refuse_after_mean(name)
            if source in self._means:
                raise InputError(f"{name} stands between the mean over a grid and its dense layer")
        for known in (self._sides, self._means):
            if source in known:
                known[node] = known[source]  # type: ignore[assignment]

    def _refuse_after_mean(self, name: str) -> None:
        if self._left_out is not None:
            raise InputError(f"the global mean cannot be left out: {name} between it and the classes is not linear")

    def _skip(self, node: fx.Node) -> None:
        node.replace_all_uses_with(_source(node))
        self._graph.erase_node(node)

    def _replace(self, node: fx.Node, kind: str, layer: nn.Module) -> None:
        name = f"{NEW}_{kind}_{node.name}"
        self._traced.add_submodule(name, layer.train(self._traced.training))
        with self._graph.inserting_after(node):
            made = self._graph.call_module(name, (_source(node),))
        made.meta["shape"] = _shape(node)
        node.replace_all_uses_with(made)
        self._graph.erase_node(node)


def _shape(node: fx.Node | None) -> tuple[int, ...] | None:
    """Of a node's output at the native size; None where it is no single tensor."""
    return node.meta.get("shape") if node is not None else None


def _first(node: fx.Node) -> fx.Node | None:
    return node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None


def _source(node: fx.Node) -> fx.Node:
    return cast(fx.Node, _first(node))


def _name(node: fx.Node, layer: nn.Module | None) -> str:
    return type(layer).__name__ if layer is not None else getattr(node.target, "__name__", str(node.target))


def _is_pool(node: fx.Node, layer: nn.Module | None, shape: tuple[int, ...], before: tuple[int, ...]) -> bool:
    if len(before) != 4:
        return False
    if isinstance(layer, _POOLS):
        return True
    name = _name(node, layer)
    return name.startswith("adaptive_") or (name == "mean" and shape in (before[:2], (*before[:2], 1, 1)))


def _returns_to_a_map(node: fx.Node) -> bool:
    """Whether a map of one place goes on to a larger one, as in squeeze-and-excitation: that is the body's own affair."""
    if (_shape(node) or ())[2:] not in ((), _GLOBAL):
        return False
    seen: set[fx.Node] = set()
    ahead = list(node.users)
    while ahead:
        user = ahead.pop()
        shape = _shape(user) or ()
        if len(shape) == 4 and shape[2:] != _GLOBAL:
            return True
        if user not in seen:
            seen.add(user)
            ahead += user.users
    return False


def _means(sides: tuple[int, int], out: tuple[int, int]) -> Tensor:
    """Means over a grid as a matrix: one row a part, one column a place of the map."""
    places = torch.eye(math.prod(sides)).view(-1, 1, *sides)
    return nn.functional.adaptive_avg_pool2d(places, out).flatten(1).T


def _wider(norm: nn.BatchNorm1d) -> nn.BatchNorm2d:
    wide = nn.BatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    wide._parameters, wide._buffers = norm._parameters, norm._buffers
    return wide
