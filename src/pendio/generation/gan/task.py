"""The generative adversarial network as a task: two players, what they are measured by, and what is made."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import CatMetric

from pendio.descent.task import Loss, Player, Task
from pendio.errors import InputError
from pendio.generation.gan.augmentation import augmented
from pendio.generation.gan.diagnosis import Restraint, diagnose_gan_curves
from pendio.generation.gan.features import Components, spread
from pendio.generation.gan.games import discriminator_losses, generator_losses, gradient_penalties, r1_penalties
from pendio.generation.gan.inversion import inverted
from pendio.generation.gan.options import Game
from pendio.generation.quality.kernel import kernel_distance
from pendio.generation.rows import Standard
from pendio.nn.network import unit_range
from pendio.pictures.tiles import tiled
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["Gan", "Rules"]

_MADE = 512
"""Examples that are made for each evaluation."""

_R1_EVERY = 4
"""Steps from one penalty at real examples to the next, which has as many times the weight (Karras et al., 2020)."""

_SHOWN = 64
_CHUNK = 1024


class Rules(NamedTuple):
    """How the two play.

    Attributes:
        game: see :mod:`pendio.generation.gan.games`.
        critic_steps: turns of the discriminator for each of the generator.
        penalty: λ of (‖∇D‖ − 1)² between real and made.
        r1: γ of γ/2·‖∇D‖² at real examples, taken at every fourth step with four times the weight.
        changes: what differentiable augmentation changes.
        discriminator_lr: relative to the plan's.
    """

    game: Game = "non-saturating"
    critic_steps: int = 1
    penalty: float = 0.0
    r1: float = 0.0
    changes: tuple[str, ...] = ()
    discriminator_lr: float = 1.0


_RULES = Rules()


class Gan(Task):
    """A generator that makes examples of noise, and a discriminator that tells them from real ones.

    In its turn each player's weights alone get gradients: the discriminator sees what was made without a graph, and is
    frozen while the generator's loss passes through it.

    Args:
        generator: maps noise ``(N, L)`` and weights of classes ``(N, K)`` or None to examples.
        discriminator: maps examples, and classes as above, to logits ``(N,)``.
        latent: L.
        shape: of an example.
        rules: how they play.
        classes: names of those that can be asked for; none where it is not conditional.
        shares: how often the data has each of them; empty for equally often.
        mean, std: of each feature of a table, which is standardised; empty for images.

    Attributes:
        latent: shape of a code: L values of noise, and with classes K weights of classes after them.
    """

    shares: Tensor

    def __init__(
        self, generator: nn.Module, discriminator: nn.Module, latent: int, shape: Sequence[int], rules: Rules = _RULES,
        classes: Sequence[str] = (), shares: Sequence[float] = (), mean: Sequence[float] = (), std: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.noise = latent
        self.shape = tuple(shape)
        self.rules = rules
        self.classes = tuple(classes)
        self.latent: tuple[int, ...] = (latent + len(self.classes),)
        self.components = Components(self.shape)
        self.register_buffer("shares", torch.tensor(list(shares) or [1.0] * len(self.classes)), persistent=False)
        self.standard = Standard(mean, std)
        self.features, self.logits, self.labels = (CatMetric(nan_strategy="disable") for _ in range(3))
        self._turn = 0

    @property
    def is_image(self) -> bool:
        """Whether an example is an image."""
        return len(self.shape) == 3

    @property
    def restraint(self) -> Restraint:
        """What holds the discriminator back."""
        return Restraint(self.rules.r1, self.rules.changes, self.shape[0] if self.is_image else 0)

    # The game

    def players(self) -> Sequence[Player]:
        """The discriminator, and then the generator."""
        return [
            Player("discriminator", [self.discriminator], self.loss, (self.rules.discriminator_lr,)),
            Player("generator", [self.generator], self.generator_loss),
        ]

    def prepare(self, inputs: Tensor) -> Tensor:
        """Examples as the discriminator wants them: images in [−1, 1], tables standardised."""
        return 2 * unit_range(inputs) - 1 if self.is_image else self.standard(inputs)

    def restore(self, made: Tensor) -> Tensor:
        """The opposite of :meth:`prepare`, of what the generator made."""
        return ((made + 1) / 2).clamp(0, 1) if self.is_image else self.standard.inverse(made)

    def weights_of(self, labels: Tensor | None) -> Tensor | None:
        """Weights of classes ``(N, K)``, 1 for each label ``(N,)``; None where there are no classes."""
        if not self.classes or labels is None:
            return None
        return F.one_hot(labels, len(self.classes)).to(self.shares)

    def make(self, count: int, classes: Tensor | None) -> Tensor:
        """As many examples of fresh noise, as the networks see them; noise is of the global generator."""
        device = next(self.parameters()).device
        return cast(Tensor, self.generator(torch.randn(count, self.noise, device=device), classes))

    def judge(self, examples: Tensor, classes: Tensor | None) -> Tensor:
        """The discriminator's logits ``(N,)``."""
        return cast(Tensor, self.discriminator(examples, classes)).float()

    def loss(self, batch: Any) -> Loss:
        """The discriminator's, of a batch of real examples and as many that are made, with its penalties."""
        rules, count = self.rules, len(batch.inputs)
        classes = self.weights_of(batch.targets)
        with torch.no_grad():
            made = augmented(self.make(count, classes).float(), rules.changes)
            real = augmented(self.prepare(batch.inputs), rules.changes)
        twice = None if classes is None else torch.cat([classes, classes])
        logits = self.judge(torch.cat([real, made]), twice)
        losses = discriminator_losses(rules.game, logits[:count], logits[count:])
        if rules.penalty:
            shares = torch.rand(count, device=real.device)
            losses = losses + rules.penalty * gradient_penalties(lambda x: self.judge(x, classes), real, made, shares)
        if rules.r1 and self._turn % _R1_EVERY == 0:
            losses = losses + _R1_EVERY * rules.r1 / 2 * r1_penalties(lambda x: self.judge(x, classes), real)
        return Loss(losses.sum(), count)

    def generator_loss(self, batch: Any) -> Loss:
        """The generator's, of as many examples as the batch has, of its classes."""
        count = len(batch.inputs)
        if self._turn % self.rules.critic_steps:
            # No weight gets a gradient, and the optimiser moves none.
            return Loss(torch.zeros((), device=batch.inputs.device, requires_grad=True), count)
        classes = self.weights_of(batch.targets)
        made = augmented(self.make(count, classes).float(), self.rules.changes)
        with _frozen(self.discriminator):
            logits = self.judge(made, classes)
        return Loss(generator_losses(self.rules.game, logits).sum(), count)

    def after_step(self) -> None:
        """Count turns, for what happens at some of them alone."""
        self._turn += 1

    def carried(self) -> dict[str, Tensor]:
        """The count of turns."""
        return {"turn": torch.tensor(self._turn)}

    def carry(self, carried: Mapping[str, Tensor]) -> None:
        """Go on counting."""
        self._turn = int(carried["turn"])

    # How well

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out examples."""
        examples = self.prepare(batch.inputs)
        self.features.update(self.components(examples))
        self.logits.update(self.judge(examples, self.weights_of(batch.targets)))
        self.labels.update(batch.targets)

    def metrics(self) -> dict[str, float]:
        """Of held-out examples and of 512 that are made, always of the same noise.

        ``loss`` is the discriminator's without penalties, on what it has not seen; ``accuracy`` the share that it tells
        apart at the middle between its mean logits, ½ where it can only guess; ``gap`` the difference of these means;
        ``kernel`` the kernel distance of whitened principal components, about 0 where made and held-out examples are
        alike; ``diversity`` the mean distance between two made examples relative to that of real ones: 1 is right, and 0
        is collapse.
        """
        # A single value comes back without its axes.
        features, real = self.features.compute().view(-1, self.components.count), self.logits.compute().view(-1)
        labels = self.labels.compute().view(-1).long()
        for tally in (self.features, self.logits, self.labels):
            tally.reset()
        training = self.training
        # Batches of made examples must leave no trace in running statistics.
        self.eval()
        # As often as the held-out examples have them.
        asked = labels[torch.arange(_MADE, device=labels.device) % len(labels)] if self.classes else None
        examples = self.generate(self.codes(_MADE, torch.Generator().manual_seed(0), asked))
        made = self.judge(examples, self.weights_of(asked))
        made_features = self.components(examples)
        self.train(training)
        middle = (real.mean() + made.mean()) / 2
        told = torch.cat([real > middle, made < middle]).float()
        pairs = discriminator_losses(self.rules.game, real[:, None], made[None])
        # Of a single held-out example there are no distances.
        alone = len(features) < 2
        return {
            "loss": float(pairs.mean()),
            "accuracy": float(told.mean()),
            "gap": float(real.mean() - made.mean()),
            "kernel": float("inf") if alone else _kernel(features, made_features),
            "diversity": float("nan") if alone else spread(made_features) / max(spread(features), 1e-12),
        }

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The kernel distance: the lower, the better."""
        return (-metrics["kernel"],)

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as curves and gradients tell."""
        return diagnose_gan_curves(evidence, self.restraint)

    # What it is for

    def codes(
        self, count: int, generator: torch.Generator, labels: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Codes ``(count, *latent)``: noise of this deviation, and the weights of the classes of ``labels``, if any.

        Classes are drawn as often as the data has them where ``labels`` is None.

        Raises:
            InputError: labels do not fit: classes cannot be asked for, or there is no such class.
        """
        noise = temperature * torch.randn(count, self.noise, generator=generator)
        if not self.classes:
            if labels is not None:
                raise InputError(
                    "this GAN was trained without classes: none can be asked of it; train with --conditional"
                )
            return noise.to(self.shares.device)
        if labels is None:
            labels = torch.multinomial(self.shares.cpu(), count, replacement=True, generator=generator)
        if len(labels) != count or (count and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes)):
            raise InputError(f"{count} labels from 0 to {len(self.classes) - 1} are expected")
        weights = F.one_hot(labels.cpu(), len(self.classes)).to(noise)
        return torch.cat([noise, weights], 1).to(self.shares.device)

    def generate(self, codes: Tensor) -> Tensor:
        """Examples as the networks see them, of codes ``(N, *latent)``; gradients pass."""
        noise, weights = codes[:, : self.noise], codes[:, self.noise :]
        return cast(Tensor, self.generator(noise, weights if self.classes else None)).float()

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Examples ``(N, *shape)`` of codes: images in [0, 1], rows in the data's own units."""
        self.eval()
        return self.restore(torch.cat([self.generate(part) for part in codes.split(_CHUNK)]))

    def sample(
        self, count: int, *, generator: torch.Generator, labels: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """See :meth:`pendio.generation.making.Maker.sample`.

        Raises:
            InputError: see :meth:`codes`.
        """
        return self.decode(self.codes(count, generator, labels, temperature))

    def invert(self, inputs: Tensor, steps: int = 200, restarts: int = 4, seed: int = 0) -> Tensor:
        """Codes ``(N, *latent)`` whose examples come close to these; see :func:`~pendio.generation.gan.inversion.inverted`.

        Args:
            inputs: images as bytes or in [0, 1], rows in the data's own units.
            steps: of descent.
            restarts: starting points for each example.
            seed: of the codes among which starting points are looked for.

        Raises:
            InputError: there is not at least one step and one restart.
        """
        self.eval()
        targets = self.prepare(inputs.to(self.shares.device))
        starts = self.codes(_MADE, torch.Generator().manual_seed(seed))
        with _frozen(self.generator):
            return inverted(self.generate, targets, starts, self.noise, steps=steps, restarts=restarts)

    def encode(self, inputs: Tensor) -> Tensor:
        """The codes that :meth:`invert` finds."""
        return self.invert(inputs)

    def predict(self, inputs: Tensor) -> Tensor:
        """What the generator can make that comes closest to ``inputs``, ``(N, *shape)``."""
        return self.decode(self.encode(inputs))

    def shown(self) -> Tensor:
        """Codes of the 64 samples that are drawn: always of the same noise, and with classes a row for each."""
        labels = torch.arange(_SHOWN) // 8 % len(self.classes) if self.classes else None
        return self.codes(_SHOWN, torch.Generator().manual_seed(0), labels)

    def pictures(self) -> dict[str, bytes]:
        """Samples; nothing of tables."""
        return {"samples": tiled(self.decode(self.shown()))} if self.is_image else {}


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Graphs that are made meanwhile give the module's weights no gradients."""
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in weights:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in weights:
            parameter.requires_grad_(True)


def _kernel(features: Tensor, made: Tensor) -> float:
    # On the CPU, which knows double precision, and in full: the autocast of an evaluation would round it.
    with torch.autocast("cpu", enabled=False):
        return kernel_distance(features.float().cpu(), made.float().cpu()).value
