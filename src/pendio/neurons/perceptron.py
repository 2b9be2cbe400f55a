"""The perceptron: one neuron with a threshold, and the rule that teaches it."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog
from sklearn.svm import SVC
from torch import Tensor

from pendio.errors import InputError

__all__ = ["Learned", "Perceptron", "Proof", "learn", "prove"]


@dataclass(frozen=True)
class Perceptron:
    """Fires where w·x + b > 0 (Rosenblatt, 1958).

    Attributes:
        weights: ``(F,)``.
        bias: the negative of the threshold.
    """

    weights: Tensor
    bias: float

    def __call__(self, inputs: Tensor) -> Tensor:
        """``(N,)`` booleans for inputs ``(N, F)``."""
        return inputs.to(self.weights.dtype) @ self.weights + self.bias > 0


@dataclass(frozen=True)
class Learned:
    """What the perceptron learning rule arrived at: the perceptron, its mistakes on the way, and its passes."""

    perceptron: Perceptron
    mistakes: int
    passes: int


@dataclass(frozen=True)
class Proof:
    """Whether a hyperplane separates two classes, and what follows.

    Attributes:
        separable: whether one does.
        margin: γ, half the widest gap between the classes in ``(x, 1)`` space by a plane through the origin; 0 if none.
        radius: R, the length of the longest ``(x, 1)``.
    """

    separable: bool
    margin: float
    radius: float

    @property
    def bound(self) -> float:
        """(R/γ)²: the learning rule makes no more mistakes than this (Novikoff, 1962)."""
        return (self.radius / self.margin) ** 2 if self.separable else float("inf")


def _check(inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """``(x, 1)`` for each input and ±1 for each label, in float64."""
    if inputs.ndim != 2 or labels.shape != inputs.shape[:1]:
        raise InputError(
            f"a perceptron takes inputs (N, F) and labels (N,), got {tuple(inputs.shape)} and {tuple(labels.shape)}"
        )
    if not inputs.isfinite().all():
        raise InputError("a perceptron takes finite numbers; some inputs are not")
    extended = torch.cat([inputs.double(), torch.ones(len(inputs), 1, dtype=torch.float64)], 1)
    return extended, torch.where(labels.bool(), 1.0, -1.0).double()


def learn(inputs: Tensor, labels: Tensor) -> Learned:
    """Teach a perceptron by its learning rule: at each mistake, w ← w + y·x and b ← b + y, with y = ±1.

    Where no hyperplane separates the classes the rule would go on for ever, so that is asked first.

    Args:
        inputs: ``(N, F)``.
        labels: ``(N,)``, true where it shall fire.

    Raises:
        InputError: no hyperplane separates the two classes.
    """
    proof = prove(inputs, labels)
    if not proof.separable:
        raise InputError("no hyperplane separates these two classes, so that no single perceptron can tell them apart; "
                         "use a network of several layers, such as --model mlp")  # fmt: skip
    extended, signs = _check(inputs, labels)
    state = torch.zeros(extended.shape[1], dtype=torch.float64)
    mistakes = passes = 0
    erred = True
    while erred:
        erred, passes = False, passes + 1
        for point, sign in zip(extended, signs, strict=True):
            # Firing needs more than nothing: the plane itself belongs to the other class, as in __call__.
            if (sign > 0) != bool(point @ state > 0):
                state += sign * point
                mistakes, erred = mistakes + 1, True
    return Learned(Perceptron(state[:-1].clone(), float(state[-1])), mistakes, passes)


def prove(inputs: Tensor, labels: Tensor) -> Proof:
    """Decide by linear programming whether a hyperplane separates the classes, and find the widest margin.

    The classes are separable if and only if y·(w·x + b) ≥ 1 has a solution.

    Args:
        inputs: ``(N, F)``.
        labels: ``(N,)``, two classes.
    """
    extended, signs = _check(inputs, labels)
    signed = (extended * signs[:, None]).numpy()
    solved = linprog(np.zeros(signed.shape[1]), A_ub=-signed, b_ub=-np.ones(len(signed)), bounds=(None, None))
    radius = float(extended.norm(dim=1).max())
    if solved.status != 0:
        return Proof(False, 0.0, radius)
    return Proof(True, _margin(signed), radius)


def _margin(signed: np.ndarray) -> float:
    """The largest γ with a unit vector u such that u·z ≥ γ for every row z.

    A support vector machine whose classes are the rows and their mirror images finds it: its plane goes through the
    origin by symmetry.
    """
    both = np.concatenate([signed, -signed])
    machine = SVC(kernel="linear", C=1e10, tol=1e-10).fit(both, np.repeat([1, -1], len(signed)))
    direction = machine.coef_[0] / np.linalg.norm(machine.coef_[0])
    return float((signed @ direction).min())
