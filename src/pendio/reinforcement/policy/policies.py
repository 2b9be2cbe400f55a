"""Policies: distributions over actions, and the network that gives one for what is seen, with what it is worth."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.distributed
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pendio.reinforcement.networks import body
from pendio.reinforcement.worlds.environments import World

__all__ = ["ActorCritic", "Categorical", "Gaussian", "Standardize"]

_LARGEST = 10.0
"""Standard deviations beyond which an observation is clipped."""
_SMALLEST = 1e-8
"""A variance that rounding alone may have made."""


class Categorical(NamedTuple):
    """One of A actions with probabilities softmax(logits), of N observations.

    Attributes:
        logits: ``(N, A)``.
    """

    logits: Tensor

    def log_prob(self, actions: Tensor) -> Tensor:
        """log π(a) of actions ``(N,)``."""
        return -F.cross_entropy(self.logits, actions, reduction="none")

    def entropy(self) -> Tensor:
        """−Σ π log π ``(N,)``, in nats."""
        log_probs = self.logits.log_softmax(1)
        return -(log_probs.exp() * log_probs).sum(1)

    def mode(self) -> Tensor:
        """The likeliest actions ``(N,)``."""
        return self.logits.argmax(1)

    def sample(self, noise: Tensor) -> Tensor:
        """Actions ``(N,)``: arg max of logits − log E, with E from the exponential distribution ``(N, A)``.

        Source: Gumbel (1954).
        """
        return (self.logits - noise.log()).argmax(1)


class Gaussian(NamedTuple):
    """Vectors of D numbers, normal and independent, of N observations.

    Attributes:
        mean: μ ``(N, D)``.
        log_sd: log σ ``(D,)``, the same everywhere.
    """

    mean: Tensor
    log_sd: Tensor

    def log_prob(self, actions: Tensor) -> Tensor:
        """log π(a) = −Σ (½ ((a − μ)/σ)² + log σ + ½ log 2π) of actions ``(N, D)``: ``(N,)``."""
        distances = (actions - self.mean) * torch.exp(-self.log_sd)
        constant = self.log_sd.sum() + 0.5 * math.log(2 * math.pi) * self.log_sd.numel()
        return -0.5 * distances.square().sum(1) - constant

    def entropy(self) -> Tensor:
        """Σ (log σ + ½ log 2πe) ``(N,)``, in nats."""
        entropy = self.log_sd.sum() + 0.5 * math.log(2 * math.pi * math.e) * self.log_sd.numel()
        return entropy.expand(len(self.mean))

    def mode(self) -> Tensor:
        """μ."""
        return self.mean

    def sample(self, noise: Tensor) -> Tensor:
        """Actions μ + σ ε ``(N, D)``, with ε from the standard normal distribution ``(N, D)``."""
        return self.mean + self.log_sd.exp() * noise


class Standardize(nn.Module):
    """Takes off the mean of all observations so far and divides by their standard deviation, up to ±10.

    The first observations pass as they are.

    Args:
        features: numbers in an observation.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, observations: Tensor) -> Tensor:
        """``(N, F)``."""
        scaled = (observations - self.mean) / self.deviation()
        return scaled.clamp(-_LARGEST, _LARGEST)

    def undo(self, scaled: Tensor) -> Tensor:
        """What standardised numbers ``(N, F)`` stand for."""
        return scaled * self.deviation() + self.mean

    def deviation(self) -> Tensor:
        """The standard deviation so far ``(F,)``; 1 where all was equal."""
        return torch.where(self.variance > _SMALLEST, self.variance, 1.0).sqrt()

    @torch.no_grad()
    def update(self, observations: Tensor) -> None:
        """Take observations ``(N, F)`` into account; those of all processes, where there are several.

        Two sets have n = n₁ + n₂ members, mean m₁ + d n₂/n and variance (n₁ v₁ + n₂ v₂ + d² n₁ n₂/n)/n, where d = m₂ − m₁.

        Source: Chan, Golub and LeVeque (1983).
        """
        size = torch.full_like(self.mean, len(observations))
        variance, mean = torch.var_mean(observations, 0, correction=0)
        for count, new_mean, new_variance in _everyone(torch.stack([size, mean, variance])):
            old = self.count.to(count)
            total = old + count
            distance = new_mean - self.mean
            inside = old * self.variance + count * new_variance
            self.variance.copy_((inside + distance.square() * (old * count / total)) / total)
            self.mean.add_(distance * (count / total))
            self.count.add_(count[0].long())


def _everyone(values: Tensor) -> Sequence[Tensor]:
    """What each process has."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [values]
    gathered = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(gathered, values)
    return gathered


class ActorCritic(nn.Module):
    """A policy and, beside it, a value network with a body of its own.

    Actions that are vectors are in units of their bounds, which are ±1; :meth:`to_world` gives them as the world takes them.
    Weights begin orthogonal, with gain √2 in the bodies, 0.01 at the head of the policy, so that it begins near chance, and
    1 at that of the value.

    Args:
        world: whose observations and actions they are.
        hidden: widths of the dense layers of either body.
        critic: whether there is a value network.
        stack: frames in an observation.
        standardize: let observations that are vectors go through :class:`Standardize` first.
        standardize_returns: let the value network foresee returns in units of their running standard deviation.

    Source: Schulman et al. (2017); Engstrom et al. (2020) on why these details matter.
    """

    def __init__(
        self,
        world: World,
        hidden: Sequence[int],
        *,
        critic: bool = True,
        stack: int = 1,
        standardize: bool = False,
        standardize_returns: bool = False,
    ) -> None:
        super().__init__()
        self.discrete = world.actions > 0
        self.outputs = world.actions or len(world.low)
        self.observed = Standardize(world.shape[0]) if standardize else None
        self.returned = Standardize(1) if standardize_returns else None
        self.policy = _tower(world, hidden, stack, self.outputs, 0.01)
        self.value = _tower(world, hidden, stack, 1, 1.0) if critic else None
        self.log_sd = None if self.discrete else nn.Parameter(torch.zeros(self.outputs))
        low, high = (np.array(bound, dtype=np.float32) for bound in (world.low, world.high))
        self._middle, self._half = (low + high) / 2, (high - low) / 2

    def forward(self, observations: Tensor) -> tuple[Categorical | Gaussian, Tensor | None]:
        """The distribution of actions and the value ``(N,)``, None without a critic, of observations ``(N, …)``."""
        seen = self._seen(observations)
        return self._over(self.policy(seen)), None if self.value is None else self._worth(self.value, seen)

    def distribution(self, observations: Tensor) -> Categorical | Gaussian:
        """Of actions alone."""
        return self._over(self.policy(self._seen(observations)))

    def decider(self) -> nn.Module:
        """The network of the policy alone: from observations to logits, or to means of actions in units of their bounds."""
        return self.policy if self.observed is None else nn.Sequential(self.observed, self.policy)

    def values(self, observations: Tensor) -> Tensor:
        """V alone, ``(N,)``; there must be a critic."""
        return self._worth(cast(nn.Module, self.value), self._seen(observations))

    @torch.no_grad()
    def take_into_account(self, observations: Tensor, returns: Tensor, keep_values: bool) -> None:
        """Let the statistics follow what was seen ``(N, F)`` and came of it ``(N,)``.

        Args:
            observations: of vectors; otherwise not read.
            returns: G.
            keep_values: let the last layer make up for the change, so that values stay what they are, as estimates that are
                relied on must; or let them follow the returns.

        Source: van Hasselt et al. (2016) on keeping them.
        """
        if self.observed is not None:
            self.observed.update(observations)
        if self.returned is None:
            return
        mean, deviation = self.returned.mean.clone(), self.returned.deviation()
        self.returned.update(returns[:, None])
        if keep_values:
            head, now = cast(nn.Linear, cast(nn.Sequential, self.value)[-1]), self.returned.deviation()
            head.weight.mul_(deviation / now)
            head.bias.copy_((deviation * head.bias + mean - self.returned.mean) / now)

    def _seen(self, observations: Tensor) -> Tensor:
        return observations if self.observed is None else cast(Tensor, self.observed(observations))

    def _worth(self, value: nn.Module, seen: Tensor) -> Tensor:
        values = cast(Tensor, value(seen)).flatten()
        return values if self.returned is None else self.returned.undo(values)

    def _over(self, outputs: Tensor) -> Categorical | Gaussian:
        return Categorical(outputs) if self.log_sd is None else Gaussian(outputs, self.log_sd)

    def noise(self, steps: int, count: int, generator: torch.Generator) -> Tensor:
        """What :meth:`Categorical.sample` and :meth:`Gaussian.sample` need for some steps: ``(steps, count, …)``."""
        noise = torch.empty(steps, count, self.outputs)
        return noise.exponential_(generator=generator) if self.discrete else noise.normal_(generator=generator)

    def to_world(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Actions as the world takes them; vectors may lie outside its bounds."""
        return actions if self.discrete else self._middle + self._half * actions


def _tower(world: World, hidden: Sequence[int], stack: int, outputs: int, gain: float) -> nn.Sequential:
    layers, features = body(world, hidden, stack, nn.Tanh)
    head = nn.Linear(features, outputs)
    for layer in (*layers.modules(), head):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.orthogonal_(layer.weight, gain if layer is head else math.sqrt(2))
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, head)
