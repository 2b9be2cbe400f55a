"""The games: what the discriminator and the generator lower, and what keeps the discriminator smooth.

D gives logits. In minimax, σ(D(x)) is the probability that x is real, and V = E_real[log σ(D)] + E_made[log(1 − σ(D))] is
raised by the discriminator and lowered by the generator (Goodfellow et al., 2014).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.generation.gan.options import Game

__all__ = ["discriminator_losses", "generator_losses", "gradient_penalties", "r1_penalties", "value"]

Judge = Callable[[Tensor], Tensor]
"""Maps examples ``(N, …)`` to logits ``(N,)``."""


def discriminator_losses(game: Game, real: Tensor, made: Tensor) -> Tensor:
    """What the discriminator lowers, for each pair of logits ``(N,)``.

    minimax and non-saturating: −log σ(D(x)) − log(1 − σ(D(x̂))); hinge: max(0, 1 − D(x)) + max(0, 1 + D(x̂)) (Lim and Ye,
    2017); wasserstein: D(x̂) − D(x) (Arjovsky et al., 2017).
    """
    match game:
        case "minimax" | "non-saturating":
            return F.softplus(-real) + F.softplus(made)
        case "hinge":
            return F.relu(1 - real) + F.relu(1 + made)
        case "wasserstein":
            return made - real


def generator_losses(game: Game, made: Tensor) -> Tensor:
    """What the generator lowers, for each logit ``(N,)``.

    minimax: log(1 − σ(D(x̂))), whose gradient vanishes where the discriminator is sure; non-saturating: −log σ(D(x̂)), with
    the same fixed point and the gradient where it is needed; hinge and wasserstein: −D(x̂).
    """
    match game:
        case "minimax":
            return -F.softplus(made)
        case "non-saturating":
            return F.softplus(-made)
        case "hinge" | "wasserstein":
            return -made


def value(real: Tensor, made: Tensor) -> Tensor:
    """V of the minimax game at logits ``(N,)`` and ``(M,)``: −log 4 where the discriminator can only guess."""
    return F.logsigmoid(real).mean() + F.logsigmoid(-made).mean()


def gradient_penalties(judge: Judge, real: Tensor, made: Tensor, shares: Tensor) -> Tensor:
    """(‖∇D(α·x + (1 − α)·x̂)‖ − 1)² of each pair, ``(N,)`` (Gulrajani et al., 2017).

    The norm is over all values of an example; D must not mix the examples of a batch, as batch normalisation does.

    Args:
        judge: D.
        real, made: ``(N, …)``.
        shares: α ``(N,)`` in [0, 1], one an example.
    """
    shares = shares.view(-1, *[1] * (real.ndim - 1))
    norms = torch.linalg.vector_norm(_slopes(judge, torch.lerp(made, real, shares)), dim=1)
    penalties: Tensor = (norms - 1).square()
    return penalties


def r1_penalties(judge: Judge, real: Tensor) -> Tensor:
    """‖∇D(x)‖² of each real example, ``(N,)`` (Mescheder et al., 2018)."""
    penalties: Tensor = _slopes(judge, real).square().sum(1)
    return penalties


# Compiled graphs cannot be differentiated twice: `--compile` leaves this part as it is.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def _slopes(judge: Judge, places: Tensor) -> Tensor:
    """∇D at ``places``, ``(N, values)``, which can be differentiated again."""
    places = places.detach().requires_grad_()
    # Each logit depends on its own example alone: the sum's gradient holds every one's.
    (slopes,) = torch.autograd.grad(judge(places).sum(), places, create_graph=True)
    return slopes.flatten(1)
