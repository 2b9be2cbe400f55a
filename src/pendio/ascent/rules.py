"""Step rules: how a climb moves its points along their gradient. Each image moves by its own gradient alone."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["LBFGS", "Adam", "Normalized", "Rule", "Sign", "by_image"]

Evaluate = Callable[[], Tensor]
"""Sets the gradient of the points and returns the values ``(N,)``, −∞ for images that have left."""


class Rule(Protocol):
    """Moves points up their gradient; a rule with a memory is good for one climb."""

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """Evaluate, and move ``points`` in place."""
        ...


def by_image(values: Tensor, like: Tensor) -> Tensor:
    """``(N,)`` numbers shaped so that they multiply images ``like``."""
    return values.view(-1, *[1] * (like.ndim - 1))


class Sign:
    """Steps of one size in every pixel, by the gradient's sign; with momentum, of g/‖g‖₁ accumulated (Dong et al., 2018)."""

    def __init__(self, size: float, momentum: float = 0.0) -> None:
        self.size, self.momentum = size, momentum
        self._velocity: Tensor | None = None

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """See :class:`Rule`."""
        evaluate()
        gradient = _gradient(points)
        if self.momentum:
            gradient = gradient / by_image(gradient.flatten(1).abs().mean(1).clamp(min=1e-30), gradient)
            self._velocity = gradient if self._velocity is None else self.momentum * self._velocity + gradient
            gradient = self._velocity
        points.data.add_(gradient.sign(), alpha=self.size)


class Normalized:
    """Steps of one length: size · g/‖g‖₂ in each image, or with ``mean`` size · g/mean|g|."""

    def __init__(self, size: float, mean: bool = False) -> None:
        self.size, self.mean = size, mean

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """See :class:`Rule`."""
        evaluate()
        gradient = _gradient(points)
        flat = gradient.flatten(1)
        length = flat.abs().mean(1) if self.mean else flat.norm(dim=1)
        points.data.add_(gradient / by_image(length.clamp(min=1e-30), gradient), alpha=self.size)


class Adam:
    """Adam (Kingma and Ba, 2015)."""

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self._optimizer: torch.optim.Adam | None = None

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """See :class:`Rule`."""
        evaluate()
        self._optimizer = self._optimizer or torch.optim.Adam([points], lr=self.lr, maximize=True)
        self._optimizer.step()


class LBFGS:
    """Limited-memory BFGS (Liu and Nocedal, 1989), one evaluation a step.

    Its dot products would tie the images of a batch together: a climb by this rule takes one image after another.
    """

    def __init__(self, lr: float = 1.0, history: int = 20) -> None:
        self.lr, self.history = lr, history
        self._optimizer: torch.optim.LBFGS | None = None

    def step(self, points: Tensor, evaluate: Evaluate) -> None:
        """See :class:`Rule`."""
        if self._optimizer is None:
            self._optimizer = torch.optim.LBFGS(
                [points], lr=self.lr, max_iter=1, history_size=self.history, tolerance_grad=0, tolerance_change=0
            )

        def closure() -> Tensor:
            values = evaluate()
            _gradient(points).neg_()
            return -values.sum()

        self._optimizer.step(closure)


def _gradient(points: Tensor) -> Tensor:
    assert points.grad is not None
    return points.grad
