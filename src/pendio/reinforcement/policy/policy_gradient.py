"""Policy gradients: a network that chooses actions, moved towards those that turned out better than expected."""

from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from pendio.descent.task import Loss
from pendio.errors import InputError
from pendio.reinforcement.agent import Agent
from pendio.reinforcement.networks import check_stack, parse_hidden
from pendio.reinforcement.policy.policies import ActorCritic
from pendio.reinforcement.policy_options import PPOOptions, ReinforceOptions
from pendio.reinforcement.worlds.environments import World

__all__ = ["Clipping", "Decisions", "PolicyGradient", "clipped_gains"]


class Decisions(NamedTuple):
    """What was decided, and what came of it.

    Attributes:
        observations: ``(B, …)``.
        actions: ``(B,)``, or vectors ``(B, D)`` in units of their bounds.
        advantages: how much better than expected they turned out ``(B,)``.
        returns: what the values are to be ``(B,)``.
        log_probs: log π of the actions, of the policy that took them ``(B,)``.
        values: V of the observations, before it learned from them ``(B,)``.
    """

    observations: Tensor
    actions: Tensor
    advantages: Tensor
    returns: Tensor
    log_probs: Tensor
    values: Tensor


class Clipping(NamedTuple):
    """What makes a policy gradient proximal.

    Attributes:
        policy: ε, how far the ratio of probabilities may move from 1.
        value: how far a value may move; None for as far as it likes.
        falling: whether ε falls in a straight line to 0 over the training.
    """

    policy: float
    value: float | None = None
    falling: bool = False


class PolicyGradient(Agent):
    """REINFORCE (Williams, 1992), or proximal policy optimisation (Schulman et al., 2017).

    Without clipping the loss is −Σ A log π(a | s); its gradient is that of the expected return, if the advantages A are
    returns less a baseline that does not depend on the action. With clipping, several steps can be made of one rollout:
    −Σ min(ρA, clip(ρ, 1 − ε, 1 + ε) A) with ρ = π(a | s)/π_old(a | s). A value network, where there is one, is taught by
    Σ (V − G)², in units of the returns' variance where they are standardised; the entropy of the policy is paid for.

    The power γᵗ by which the gradient of the discounted return weighs step t is left out, as is usual: otherwise an
    episode's later steps would teach nothing. What is climbed then is not quite the discounted return.

    Args:
        world: where it acts.
        policy: policy and value network.
        clipping: None for the plain gradient.
        entropy: weight of the entropy.
        value_weight: weight of the squared errors.
        stack: frames in an observation.
        discount: γ.
    """

    clip: Tensor

    def __init__(
        self,
        world: World,
        policy: ActorCritic,
        *,
        clipping: Clipping | None = None,
        entropy: float = 0.0,
        value_weight: float = 0.5,
        stack: int = 1,
        discount: float = 1.0,
    ) -> None:
        super().__init__(world, stack, discount)
        self.policy, self.clipping = policy, clipping
        self.entropy_weight, self.value_weight = entropy, value_weight
        self.register_buffer("clip", torch.tensor(clipping.policy if clipping else 0.0))

    @staticmethod
    def of(options: ReinforceOptions | PPOOptions, world: World) -> "PolicyGradient":
        """An agent that has learned nothing yet, as options say.

        Raises:
            InputError: an option does not fit the world.
        """
        if options.standardize and world.kind != "vector":
            raise InputError(f"--standardize is for vectors, and environment '{options.env}' shows a {world.kind}")
        ppo = options if isinstance(options, PPOOptions) else None
        stack = ppo.stack if ppo else 1
        check_stack(stack, options.env, world)
        critic = not isinstance(options, ReinforceOptions) or options.baseline == "value"
        # One step a rollout is too little for a value network to find out how large returns are.
        policy = ActorCritic(
            world, parse_hidden(options.hidden), critic=critic, stack=stack, standardize=options.standardize,
            standardize_returns=critic and (ppo is None or options.standardize),
        )  # fmt: skip
        if ppo is None:
            return PolicyGradient(world, policy, entropy=options.entropy, discount=options.discount)
        return PolicyGradient(
            world, policy, clipping=Clipping(ppo.clip_range, ppo.value_clip, ppo.clip_schedule == "linear"),
            entropy=ppo.entropy, value_weight=ppo.value_weight, stack=stack, discount=ppo.discount,
        )  # fmt: skip

    def loss(self, batch: Decisions) -> Loss:
        """Of a batch of decisions, their sum."""
        distribution, values = self.policy(batch.observations)
        log_probs = distribution.log_prob(batch.actions)
        if self.clipping is None:
            gains = log_probs * batch.advantages
        else:
            gains = clipped_gains(log_probs, batch.log_probs, batch.advantages, self.clip)
        total = -gains.sum()
        if values is not None:
            total = total + self.value_weight * self._squared_errors(values, batch)
        if self.entropy_weight:
            total = total - self.entropy_weight * distribution.entropy().sum()
        return Loss(total, len(log_probs))

    def _squared_errors(self, values: Tensor, batch: Decisions) -> Tensor:
        errors = (values - batch.returns).square()
        if self.clipping is not None and self.clipping.value is not None:
            # A value that has moved too far earns nothing by going on, but still pays for going wrong.
            near = batch.values + (values - batch.values).clamp(-self.clipping.value, self.clipping.value)
            errors = torch.maximum(errors, (near - batch.returns).square())
        if self.policy.returned is not None:
            errors = errors / self.policy.returned.deviation().square()
        return errors.sum()

    def advance(self, done: float) -> None:
        """Set what changes over the training, of which a share ``done`` in [0, 1) is over."""
        if self.clipping is not None and self.clipping.falling:
            self.clip.fill_(self.clipping.policy * (1 - done))

    @torch.inference_mode()
    def sample(self, observations: NDArray[Any], noise: Tensor) -> NDArray[Any]:
        """Actions drawn from the policy by noise of its own kind, in its own units."""
        return self.policy.distribution(self._placed(observations)).sample(noise).cpu().numpy()

    @torch.inference_mode()
    def act(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The likeliest actions."""
        mode = self.policy.distribution(self._placed(observations)).mode()
        return self.policy.to_world(mode.cpu().numpy())

    @torch.inference_mode()
    def first_values(self, observations: NDArray[Any]) -> NDArray[Any] | None:
        """V of observations; None without a value network."""
        if self.policy.value is None:
            return None
        return self.policy.values(self._placed(observations)).cpu().numpy()

    def _placed(self, observations: NDArray[Any]) -> Tensor:
        return torch.from_numpy(observations).to(self.clip.device)


def clipped_gains(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: Tensor | float) -> Tensor:
    """min(ρA, clip(ρ, 1 − ε, 1 + ε) A) with ρ = π/π_old ``(B,)``: nothing more is gained by moving on, but all may be lost.

    Args:
        log_probs: log π of the actions ``(B,)``.
        old_log_probs: of the policy that took them.
        advantages: A.
        clip: ε.
    """
    ratio = (log_probs - old_log_probs).exp()
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)  # type: ignore[arg-type]
