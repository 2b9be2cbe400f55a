"""A source that plays with the current policy, and gives what was decided while it is fresh."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pendio.errors import InputError
from pendio.reinforcement.policy.advantages import explained_variance, generalized_advantages, standardized
from pendio.reinforcement.policy.policy_gradient import Decisions, PolicyGradient
from pendio.reinforcement.policy_options import PPOOptions, ReinforceOptions
from pendio.reinforcement.processes.planning import discounted_returns
from pendio.reinforcement.values.replay import Transitions
from pendio.reinforcement.worlds.arena import Arena

__all__ = ["Rollouts"]

_AT_ONCE = 4_096
"""Observations that go through the networks together where no gradient is needed."""


class _Record(NamedTuple):
    """What was played, step by step: ``(T, N, …)``. Actions are in the policy's units."""

    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[Any]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    steps: Sequence[Transitions]


class Rollouts:
    """Plays with actions drawn from the policy, and yields all that was decided, in batches.

    For proximal policy optimisation a rollout is a fixed number of steps of each environment, wherever its episodes stand,
    and is gone through several times in random order. For REINFORCE it is one episode of each environment, from its first
    step to its last, and one batch. An epoch has a whole number of rollouts. It can be saved between any two batches.

    Args:
        agent: whose policy plays, and who learns.
        options: how much to play, and how to learn from it.
        seed: of episodes, actions and batches.

    Raises:
        InputError: there are fewer rollouts than epochs.
    """

    failures: Sequence[Any] = ()

    def __init__(self, agent: PolicyGradient, options: PPOOptions | ReinforceOptions, seed: int) -> None:
        self.agent, self.options, self.seed = agent, options, seed
        self._ppo = options if isinstance(options, PPOOptions) else None
        self._length = agent.world.limit if self._ppo is None else self._ppo.rollout
        self._random = torch.Generator().manual_seed(seed)
        self._arena: Arena | None = None
        self._rollout: Decisions | None = None
        self._order = torch.zeros(0, dtype=torch.long)
        self._left = self._played = self._steps = self._episodes = 0
        self._told: dict[str, list[float]] = {}
        self._world = 1
        self._shared = False
        self.rollouts_per_epoch()

    def __len__(self) -> int:
        return self.options.environments * self._length

    def rollouts_per_epoch(self, world: int = 1) -> int:
        """As many as the steps to play allow, in ``world`` processes together."""
        epochs, size = self.options.plan.epochs, len(self) * world
        total = self.options.env_steps // size
        if total < epochs:
            most = "" if self._ppo else " at most"
            raise InputError(
                f"--env-steps {self.options.env_steps} are enough for {total} rollouts of{most} {size} steps, fewer than "
                f"{epochs} --epochs; play more steps, or give fewer --environments or --epochs"
            )
        return total // epochs

    def steps(self, size: int, world: int = 1) -> int:
        """Updates in an epoch."""
        return self.rollouts_per_epoch(world) * self._parts(size, world) * self._passes

    @property
    def _passes(self) -> int:
        return self._ppo.passes if self._ppo else 1

    def _parts(self, size: int, world: int) -> int:
        """Batches in a pass through a rollout."""
        return -(-len(self) // max(1, size // world)) if self._ppo else 1

    def to(self, device: torch.device) -> "Rollouts":
        """The same: rollouts are kept where the policy is."""
        return self

    def batches(
        self, size: int, *, seed: int = 0, epoch: int | None = None, start: int = 0, rank: int = 0, world: int = 1,
        workers: int = 0,
    ) -> Iterator[Decisions]:  # fmt: skip
        """Play, and give what was decided, for the updates that an epoch still needs."""
        self._part_ways(rank, world)
        total, parts = self.rollouts_per_epoch(world) * self.options.plan.epochs, self._parts(size, world)
        for _ in range(start, self.steps(size, world)):
            if self._left == 0:
                self._look_back()
                self.agent.advance(min(1.0, self._played / total))
                self._rollout = self._play()
                self._played, self._left = self._played + 1, self._passes * parts
            batch = self._next(parts)
            self._left -= 1
            yield batch

    def _part_ways(self, rank: int, world: int) -> None:
        """Let each process play by itself, also where all have taken up the state of the first."""
        self._world = world
        if rank and (self._shared or not self._played):
            self._arena = None
            self._random.manual_seed((self.seed * 1_009 + rank) * 1_000_003 + self._steps)
        self._shared = False

    def _next(self, parts: int) -> Decisions:
        rollout = self._rollout
        assert rollout is not None
        if parts == 1:
            return rollout
        number = self._left % parts
        if number == 0:
            rows = len(rollout.actions)
            order = torch.randperm(rows, generator=self._random)
            # Resets may have left fewer rows than there are batches, of which none shall be empty.
            self._order = order.repeat(-(-parts // rows)) if rows < parts else order
        chosen = self._order.tensor_split(parts)[number].to(rollout.actions.device)
        return Decisions(*(column[chosen] for column in rollout))

    def _play(self) -> Decisions:
        """Play a rollout, and judge it."""
        record = self._record(self._begun())
        rows, ended = record.valid, record.terminated | record.truncated
        observations, actions = (
            torch.from_numpy(column[rows]).to(self.agent.clip.device)
            for column in (record.observations, record.actions)
        )
        log_probs, entropies, values = self._judged(observations, actions)
        expected = np.zeros(rows.shape)
        expected[rows] = values.cpu().numpy()
        if self._ppo is not None:
            advantages = generalized_advantages(
                record.rewards, expected, self._successors(record, expected), record.terminated, ended, rows,
                self.agent.discount, self._ppo.gae_lambda,
            )[rows]  # fmt: skip
            returns, advantages = advantages + expected[rows], standardized(advantages)
        else:
            returns = discounted_returns(record.rewards, self.agent.discount, ended)[rows]
            advantages = returns - (returns.mean() if self._baseline == "mean" else expected[rows])
        self._note("entropy", float(entropies.mean()))
        if self.agent.policy.value is not None:
            self._note("explained_variance", explained_variance(expected[rows], returns))
        weighed, aimed_at = (torch.from_numpy(column).to(log_probs) for column in (advantages, returns))
        return Decisions(observations, actions, weighed, aimed_at, log_probs, values)

    @property
    def _baseline(self) -> str:
        return "value" if isinstance(self.options, PPOOptions) else self.options.baseline

    def _begun(self) -> Arena:
        """The environments: where they stand, or at the beginning of episodes where whole ones are wanted."""
        if self._arena is not None and self._ppo is not None:
            return self._arena
        first = int(torch.randint(2**31 - 1 - self.options.environments, (), generator=self._random))
        seeds = range(first + 1, first + 1 + self.options.environments)
        if self._arena is None:
            self._arena = Arena(self.agent.world, self.options.environments, stack=self.agent.stack, seeds=seeds)
        else:
            self._arena.begin(seeds)
        return self._arena

    def _record(self, arena: Arena) -> _Record:
        """Play: for so many steps, or until every environment's first episode is over."""
        policy, whole, before = self.agent.policy, self._ppo is None, arena.steps
        noise = policy.noise(self._length, arena.count, self._random).to(self.agent.clip.device)
        going = np.ones(arena.count, dtype=np.bool_)
        steps, actions = [], []
        for drawn in noise:
            actions.append(self.agent.sample(arena.observations, drawn))
            step, over = arena.step(policy.to_world(actions[-1]))
            returns = over.returns
            if whole:
                step, returns = step._replace(valid=going), returns[going[over.environments]]
                going = going & ~(step.terminated | step.truncated)
            steps.append(step)
            if len(returns):
                self._episodes += len(returns)
                self._told.setdefault("train_return", []).extend(returns.tolist())
            if not going.any():
                break
        self._steps += arena.steps - before
        observations, rewards, terminated, truncated, valid = (
            np.stack(column)
            for column in zip(
                *((s.observations, s.rewards, s.terminated, s.truncated, s.valid) for s in steps), strict=True
            )
        )
        return _Record(observations, np.stack(actions), rewards, terminated, truncated, valid, steps)

    @torch.no_grad()
    def _judged(self, observations: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities, entropies and values ``(B,)``; without a value network these are 0."""
        parts = []
        for seen, taken in zip(observations.split(_AT_ONCE), actions.split(_AT_ONCE), strict=True):
            distribution, values = self.agent.policy(seen)
            log_probs = distribution.log_prob(taken)
            found = torch.zeros_like(log_probs) if values is None else values
            parts.append(torch.stack([log_probs, distribution.entropy(), found]))
        log_probs, entropies, values = torch.cat(parts, 1).unbind()
        return log_probs, entropies, values

    @torch.no_grad()
    def _successors(self, record: _Record, values: NDArray[Any]) -> NDArray[Any]:
        """V of the true successors ``(T, N)``: mostly those of the next step, but not where an episode is cut."""
        following = np.zeros_like(values)
        following[:-1] = values[1:]
        elsewhere = record.truncated & record.valid
        elsewhere[-1] |= record.valid[-1] & ~record.terminated[-1]
        places = np.argwhere(elsewhere)
        if len(places):
            seen = torch.from_numpy(np.stack([record.steps[step].next_observations[number] for step, number in places]))
            parts = seen.to(self.agent.clip.device).split(_AT_ONCE)
            following[elsewhere] = torch.cat([self.agent.policy.values(part) for part in parts]).cpu().numpy()
        return following

    def _look_back(self) -> None:
        """See how far the policy has moved from the one that played, and take what it saw into account."""
        rollout = self._rollout
        if rollout is None:
            return
        if self._ppo is not None:
            change = self._judged(rollout.observations, rollout.actions)[0] - rollout.log_probs
            self._note("kl", float((change.exp() - 1 - change).mean()))
            self._note("clipped", float(((change.exp() - 1).abs() > self.agent.clip).float().mean()))
        # Advantages that are returns less values are right with any values, those that look ahead by values are not.
        self.agent.policy.take_into_account(rollout.observations, rollout.returns, keep_values=self._ppo is not None)
        self._rollout = None

    def _note(self, name: str, value: float) -> None:
        if value == value:
            self._told.setdefault(name, []).append(value)

    def tell(self) -> dict[str, float]:
        """Steps and episodes played, and means since the last call, as far as there are any.

        These are the return of the episodes that ended; the policy's entropy; the share of the returns' variance that the
        values explain; how far the policy moved in a rollout: its Kullback–Leibler divergence E[ρ − 1 − log ρ], and the
        share of the actions whose ratio ρ left the clipping range.
        """
        told = {"env_steps": float(self._steps * self._world), "episodes": float(self._episodes * self._world)}
        told |= {name: float(np.mean(values)) for name, values in self._told.items()}
        self._told = {}
        return told

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        keeps = self._arena is not None and self._ppo is not None
        return {
            "arena": self._arena.state_dict() if keeps and self._arena else None, "random": self._random.get_state(),
            "rollout": None if self._rollout is None else {k: v.cpu() for k, v in self._rollout._asdict().items()},
            "order": self._order, "left": self._left, "played": self._played, "steps": self._steps,
            "episodes": self._episodes, "told": {name: list(values) for name, values in self._told.items()},
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> str:
        """Go on where :meth:`state_dict` was taken; new episodes begin where the environments' state could not be had."""
        self._random.set_state(state["random"])
        device, rollout = self.agent.clip.device, state["rollout"]
        self._rollout = None if rollout is None else Decisions(**{k: v.to(device) for k, v in rollout.items()})
        self._order, self._told = state["order"], {name: list(values) for name, values in state["told"].items()}
        self._left, self._played = int(state["left"]), int(state["played"])
        self._steps, self._episodes, self._shared = int(state["steps"]), int(state["episodes"]), True
        if state["arena"] is None:
            self._arena = None
            return ""
        self._arena = Arena(self.agent.world, self.options.environments, self.seed, self.agent.stack)
        if self._arena.load_state_dict(state["arena"]):
            return ""
        return f"environment '{self.agent.world.name}' cannot be taken up in the middle: new episodes begin"
