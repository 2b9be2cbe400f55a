"""Universal approximation: one hidden layer fits any continuous function on [0, 1], the better the wider it is.

Cybenko, 1989; Hornik, 1991. With ReLU the construction is plain: w units make a polygon with w corners.
"""

import ast
import csv
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pendio.errors import InputError

__all__ = ["Fit", "approximate", "parse_function", "read_function"]

_FUNCTIONS: dict[str, Callable[[float], float]] = {
    name: getattr(math, name) for name in ("sin", "cos", "tan", "exp", "log", "sqrt", "tanh", "floor")
} | {"abs": abs}
_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.Mod: operator.mod,
}  # fmt: skip
_SAMPLES = 2001
_LONGEST = 500


def parse_function(text: str) -> Callable[[Tensor], Tensor]:
    """The function of x that a formula such as ``sin(6*x) + x**2`` describes.

    Numbers, ``x``, ``pi``, ``+ - * / % **``, brackets and sin, cos, tan, exp, log, sqrt, tanh, floor, abs; nothing else
    is evaluated, so that a formula from others can do no harm.

    Raises:
        InputError: it is none, or uses something else.
    """
    try:
        tree = ast.parse(text, mode="eval").body if len(text) <= _LONGEST else None
    except SyntaxError as error:
        raise InputError(f"'{text}' is no formula: {error.msg}") from error
    if tree is None:
        raise InputError(f"a formula of {len(text)} characters is too long; at most {_LONGEST}")
    _value(tree, 0.5, text, dry=True)

    def function(points: Tensor) -> Tensor:
        return torch.tensor([_value(tree, float(point), text) for point in points], dtype=torch.float64)

    return function


def _value(node: ast.expr, x: float, text: str, dry: bool = False) -> float:
    """The value of a formula at ``x``; when ``dry``, only whether it may be evaluated."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id="x"):
            return x
        case ast.Name(id="pi"):
            return math.pi
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, x, text, dry)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            first, second = _value(left, x, text, dry), _value(right, x, text, dry)
            return 1.0 if dry else _checked(lambda: _OPERATORS[type(op)](first, second), x, text)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            value = _value(argument, x, text, dry)
            return 1.0 if dry else _checked(lambda: _FUNCTIONS[name](value), x, text)
    raise InputError(f"'{ast.unparse(node)}' in '{text}' is not known; use x, pi, numbers, + - * / % ** and "
                     f"{', '.join(_FUNCTIONS)}")  # fmt: skip


def _checked(compute: Callable[[], float], x: float, text: str) -> float:
    try:
        value = compute()
    except (ValueError, ArithmeticError) as error:
        raise InputError(f"'{text}' has no value at x = {x:.4g}: {error}") from error
    if isinstance(value, complex) or not math.isfinite(value):
        raise InputError(f"'{text}' has no finite value at x = {x:.4g}")
    return value


def read_function(path: Path) -> Callable[[Tensor], Tensor]:
    """The polygon through the points of a CSV file with columns x and y, x rising within [0, 1].

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"'{path}' must have columns x and y of numbers: {error}") from error
    points = np.array(rows)
    if len(points) < 2 or not np.isfinite(points).all() or (np.diff(points[:, 0]) <= 0).any():
        raise InputError(f"'{path}' must have two points or more with x rising and all values finite")
    if points[0, 0] < 0 or points[-1, 0] > 1:
        raise InputError(f"the x of '{path}' must lie in [0, 1]")
    return lambda x: torch.from_numpy(np.interp(x.double().numpy(), points[:, 0], points[:, 1]))


@dataclass(frozen=True)
class Fit:
    """A network of one hidden layer and its largest error.

    Attributes:
        network: maps ``(N, 1)`` to ``(N, 1)``, in float64.
        width: hidden units.
        error: the largest |f(x) − network(x)| over the points looked at.
        points, targets, outputs: ``(M,)`` what they are.
    """

    network: nn.Sequential
    width: int
    error: float
    points: Tensor
    targets: Tensor
    outputs: Tensor


def approximate(function: Callable[[Tensor], Tensor], widths: Sequence[int]) -> list[Fit]:
    """Fit f: [0, 1] → ℝ by networks with one hidden layer of ReLU units.

    Each unit bends the output at one corner, b₂ + Σᵢ aᵢ·relu(x − cᵢ): where the corners lie is the hidden layer's choice.
    They are placed where f bends most, with a density of |f″|^⅖, best for the mean square (de Boor, 1973), and the output
    layer is the least-squares solution: for given corners no training could do better.

    Args:
        function: of points ``(N,)``.
        widths: numbers of hidden units, each at least 1.

    Raises:
        InputError: a width is less than 1.
    """
    if min(widths, default=0) < 1:
        raise InputError(f"widths must be at least 1, got {min(widths, default=0)}")
    points = torch.linspace(0, 1, _SAMPLES, dtype=torch.float64)
    targets = function(points)
    return [_fit(points, targets, width) for width in widths]


def _fit(points: Tensor, targets: Tensor, width: int) -> Fit:
    corners = _corners(points, targets, width)
    design = torch.cat([torch.ones(len(points), 1), torch.relu(points[:, None] - corners)], 1).double()
    # Corners may coincide on flat pieces: the pseudo-inverse of LAPACK's gelsd takes that, unlike plain elimination.
    solution = torch.linalg.lstsq(design, targets[:, None], driver="gelsd").solution
    hidden, output = nn.Linear(1, width, dtype=torch.float64), nn.Linear(width, 1, dtype=torch.float64)
    with torch.no_grad():
        hidden.weight.fill_(1.0)
        hidden.bias.copy_(-corners)
        output.bias.copy_(solution[0])
        output.weight.copy_(solution[1:].T)
        network = nn.Sequential(hidden, nn.ReLU(), output)
        outputs = network(points[:, None])[:, 0]
    return Fit(network, width, float((outputs - targets).abs().max()), points, targets, outputs)


def _corners(points: Tensor, targets: Tensor, width: int) -> Tensor:
    """The first at 0, the others where the integral of the bending's density passes equal shares."""
    step = float(points[1] - points[0])
    bending = torch.zeros_like(targets)
    bending[1:-1] = (targets[2:] - 2 * targets[1:-1] + targets[:-2]).abs() / step**2
    density = bending**0.4
    # Some density everywhere, so that no piece is left without corners and a straight line is no special case.
    density = density + 0.05 * density.mean() + 1e-12
    share = torch.cumsum(density, 0) / density.sum()
    wanted = torch.arange(1, width, dtype=torch.float64) / width
    inner = points[torch.searchsorted(share, wanted).clamp(max=len(points) - 2)]
    return torch.cat([torch.zeros(1, dtype=torch.float64), inner])
