"""Diffusion as a task: what it learns, and all that can be made with it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.descent.task import Loss, Task
from pendio.errors import InputError
from pendio.generation.diffusion.denoising import NetworkDenoiser, Precision, denoised, quantity
from pendio.generation.diffusion.diagnosis import diagnose_curves_of_diffusion
from pendio.generation.diffusion.options import Predict, Sampler
from pendio.generation.diffusion.pictures import draw_samples
from pendio.generation.diffusion.samplers import Watch, gaussian, invert, run
from pendio.generation.diffusion.schedules import Level, Schedule
from pendio.generation.diffusion.unet import DenoisingMLP, DenoisingUNet
from pendio.nn.network import unit_range
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["Diffusion"]

_STEPS = 50


class _Portions(NamedTuple):
    """How much of what is done at once.

    Attributes:
        chunk: examples that are made at once.
        bank: draws of noise for measuring: the same example meets the same noise at every evaluation.
        looks: levels at which each held-out example is measured.
    """

    chunk: int
    bank: int
    looks: int


# What two models of points differ by is small beside what most noises hide: rows are looked at more often.
_OF_IMAGES, _OF_ROWS = _Portions(128, 256, 2), _Portions(4096, 8192, 32)

_STRIDE = 89
_GOLDEN = 0.6180339887498949
_SHOWN, _SHOWN_STEPS = 20, 10


class Diffusion(Task):
    """Learns to denoise at every level of a schedule, and makes examples by denoising again and again.

    Inside, every channel or feature has mean 0 and variance 1. The loss is the mean squared error of what is predicted, at
    levels drawn evenly (Ho, Jain and Abbeel, 2020, eq. 14); those of a batch are spread over the schedule, which keeps
    the expectation and lowers the variance (Kingma et al., 2021). So do several draws of an example, each noise and its
    negative at the same level: for a network so small that a step costs more than what it computes, they are nearly free.

    Args:
        network: what learns.
        schedule: of noise levels.
        predict: what the network's output means.
        shape: of an example.
        mean, std: of each channel or feature.
        classes: that can be asked for; empty where the network is not told any.
        frequencies: training examples of each class.
        label_dropout: share of labels left out in training.
        draws: noises that each example meets in a step of training, 1 or an even number.
    """

    levels: Tensor
    mean: Tensor
    std: Tensor
    sums: Tensor

    def __init__(
        self, network: DenoisingUNet | DenoisingMLP, schedule: Schedule, predict: Predict, shape: Sequence[int],
        mean: Sequence[float], std: Sequence[float], classes: Sequence[str] = (), frequencies: Sequence[float] = (),
        label_dropout: float = 0.1, draws: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.schedule, self.predict_what, self.draws = network, schedule, predict, draws
        self.shape, self.classes = tuple(shape), tuple(classes)
        self.latent = self.shape
        self.label_dropout = label_dropout
        self.frequencies = torch.tensor([*map(float, frequencies)] or [1.0] * len(self.classes))
        form = (-1, 1, 1) if self.is_image else (-1,)
        self.register_buffer("mean", torch.tensor([*mean]).view(form))
        self.register_buffer("std", torch.tensor([value or 1.0 for value in std]).view(form))
        angles = schedule.angles
        self.register_buffer("levels", torch.stack([angles, angles.cos(), angles.sin()]).float(), persistent=False)
        self.register_buffer("sums", torch.zeros(4), persistent=False)
        self._bank: Tensor | None = None

    @property
    def is_image(self) -> bool:
        """Whether an example is an image."""
        return len(self.shape) == 3

    @property
    def _portions(self) -> _Portions:
        return _OF_IMAGES if self.is_image else _OF_ROWS

    # Training

    def standardized(self, inputs: Tensor) -> Tensor:
        """Images as bytes or in [0, 1], or rows in their own units, as the network sees them."""
        return (unit_range(inputs) - self.mean) / self.std

    def restored(self, values: Tensor) -> Tensor:
        """The way back: images are clipped to [0, 1] here, and nowhere before."""
        out = values * self.std + self.mean
        return out.clamp(0, 1) if self.is_image else out

    def noised(self, values: Tensor, noise: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x = a·x₀ + b·ε at levels ``numbers`` (from 0 on), with the angle, and a and b to be broadcast."""
        angles, *rest = self.levels[:, numbers]
        a, b = (part.view(-1, *[1] * len(self.shape)) for part in rest)
        return a * values + b * noise, angles, a, b

    def loss(self, batch: Any) -> Loss:
        """The mean squared error of what is predicted, at levels drawn anew."""
        single = self.standardized(batch.inputs)
        values = single.repeat(self.draws, *[1] * len(self.shape))
        labels = None
        if self.classes:
            dropped = torch.rand(len(values), device=values.device) < self.label_dropout
            labels = batch.targets.repeat(self.draws).masked_fill(dropped, len(self.classes))
        numbers, noise = self._drawn(values)
        noised, angles, a, b = self.noised(values, noise, numbers)
        output = self.network(noised, self.network.conditioning(angles, labels))
        errors = F.mse_loss(output.float(), quantity(self.predict_what, values, noise, a, b), reduction="none")
        return Loss(errors.flatten(1).mean(1).sum() / self.draws, len(single))

    def _drawn(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Levels ``(N,)``, spread evenly, and noise; of several draws the second half mirrors the first."""
        pairs = 2 if self.draws > 1 else 1
        count, total = len(values) // pairs, self.levels.shape[1]
        places = (torch.rand((), device=values.device) + torch.arange(count, device=values.device) / count) % 1
        numbers = (places * total).long().clamp(max=total - 1)
        noise = torch.randn_like(values[:count])
        return (numbers, noise) if pairs == 1 else (numbers.repeat(2), torch.cat([noise, -noise]))

    def noise_for(self, indices: Tensor, device: torch.device, draw: int = 0) -> Tensor:
        """The noise that examples are measured with, whatever batch they come in; another for each ``draw``.

        For rows, of few numbers each, it has the variance 1 exactly, and odd draws are the negatives of even ones.
        """
        if self._bank is None:
            generator = torch.Generator().manual_seed(0)
            self._bank = torch.randn(self._portions.bank, *self.shape, generator=generator)
            if not self.is_image:
                self._bank /= self._bank.square().mean(0).sqrt()
        noise = self._bank[(indices.cpu() + _STRIDE * (draw // 2)) % len(self._bank)].to(device)
        return -noise if draw % 2 else noise

    def errors(self, batch: Any, numbers: Tensor, draw: int = 0) -> tuple[Tensor, Tensor]:
        """Squared errors of a batch at levels ``numbers``, means of each example: of what is predicted, and of x̂₀."""
        values = self.standardized(batch.inputs)
        noise = self.noise_for(batch.indices, values.device, draw)
        noised, angles, a, b = self.noised(values, noise, numbers)
        output = self.network(
            noised, self.network.conditioning(angles, batch.targets if self.classes else None)
        ).float()
        target = quantity(self.predict_what, values, noise, a, b)
        found = denoised(self.predict_what, noised, output, a, b)
        return (output - target).square().flatten(1).mean(1), (found - values).square().flatten(1).mean(1)

    def measure(self, batch: Any) -> None:
        """Take in held-out examples, each at some levels and with noise of its own that stay the same."""
        total = self.levels.shape[1]
        first = ((batch.indices.cpu().double() * _GOLDEN) % 1).float().to(self.levels.device)
        for look in range(self._portions.looks):
            numbers = ((first + look / self._portions.looks) % 1 * total).long()
            # Each noise is met at two levels.
            losses, errors = self.errors(batch, numbers, look // 2)
            trivial = self.levels[2, numbers].square()
            self.sums += torch.stack([losses.sum(), errors.sum(), trivial.sum(), losses.new_tensor(len(losses))])

    def metrics(self) -> dict[str, float]:
        """The loss, and ``explained``: by how much x̂₀ is better than a guess that knows mean and variance alone (1 is all).

        That guess, a·x of each value by itself, has the error b².
        """
        sums = self.sums.clone()
        self.sums.zero_()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
        loss, error, trivial, count = sums.tolist()
        return {"loss": loss / count, "explained": 1 - error / trivial}

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The loss: the lower, the better."""
        return (-metrics["loss"],)

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What a run's curves and gradients tell."""
        return diagnose_curves_of_diffusion(evidence)

    @torch.no_grad()
    def pictures(self) -> dict[str, bytes]:
        """Samples of the deterministic sampler in ten steps, the same noise at every evaluation."""
        count = _SHOWN if self.is_image else 500
        labels = torch.arange(count) % len(self.classes) if self.classes else None
        steps = min(_SHOWN_STEPS, len(self.schedule))
        made = self.sample(count, generator=torch.Generator().manual_seed(0), labels=labels, steps=steps)
        return {"samples": draw_samples(made, labels)}

    # Making

    def path(self, sampler: Sampler, steps: int | Sequence[int]) -> list[Level]:
        """The levels that a sampler visits.

        Raises:
            InputError: the schedule has not so many.
        """
        if sampler == "heun" and isinstance(steps, int):
            return self.schedule.curved_path(steps)
        return self.schedule.path(steps)

    def denoiser(
        self, path: Sequence[Level], labels: Tensor | None = None, guidance: float = 1.0,
        precision: Precision = "float32", ready: Tensor | None = None,
    ) -> NetworkDenoiser:  # fmt: skip
        """What takes noise away on this path; see :class:`NetworkDenoiser`."""
        return NetworkDenoiser(self.network, self.predict_what, path, labels, guidance, precision, ready)

    @torch.no_grad()
    def sample(
        self, count: int, *, generator: torch.Generator, labels: Tensor | None = None, temperature: float = 1.0,
        sampler: Sampler = "deterministic", steps: int | Sequence[int] = _STEPS, guidance: float = 1.0, eta: float = 0.0,
        precision: Precision = "float32", watch: Watch | None = None,
    ) -> Tensor:  # fmt: skip
        """Examples ``(count, *shape)``: images in [0, 1], rows in the data's own units.

        Args:
            count: how many.
            generator: of all randomness, on the CPU.
            labels: ``(count,)`` class numbers, or the number of classes for "any"; None draws them as often as the data
                has them.
            temperature: standard deviation of the noise that is begun with.
            sampler: its name.
            steps: how many, or the numbers of the levels to visit, falling.
            guidance: 1 is the class as learned; higher is more typical and less various; 0 forgets the class.
            eta: of ``ddim``: 0 is deterministic, 1 is ``ddpm``.
            precision: number format of the network.
            watch: sees standardised values after each step.

        Raises:
            InputError: more steps than levels, or labels that there are none for.
        """
        self.eval()
        self.check_walk(sampler, guidance, eta)
        device = self.levels.device
        labels = self._drawn_labels(count, generator) if labels is None else self.checked_labels(count, labels)
        path = self.path(sampler, steps)
        noise = (torch.randn(count, *self.shape, generator=generator) * temperature).to(device)
        draw = gaussian(generator, device)
        made = []
        chunk = self._portions.chunk
        for place in range(0, count, chunk):
            part = noise[place : place + chunk]
            chosen = None if labels is None else labels[place : place + chunk].to(device)
            denoiser = self.denoiser(path, chosen, guidance, precision, part)
            made.append(self.restored(run(sampler, denoiser, part, path, draw=draw, eta=eta, watch=watch)))
        return torch.cat(made) if made else self.restored(noise)

    def check_walk(self, sampler: Sampler, guidance: float, eta: float) -> None:
        """Whether this model can go so.

        Raises:
            InputError: an option is out of range, or says what this sampler or model does not ask for.
        """
        if not 0 <= eta <= 1:
            raise InputError(f"--eta must be in [0, 1], got {eta:g}")
        if eta and sampler != "ddim":
            raise InputError(f"--eta is for --sampler ddim, and this is {sampler}")
        if not math.isfinite(guidance):
            raise InputError(f"--guidance must be a number, got {guidance:g}")
        if guidance != 1 and not self.classes:
            raise InputError("--guidance follows a class, and this model was told none; train with --conditional")

    def checked_labels(self, count: int, labels: Tensor | None) -> Tensor | None:
        """Labels as they are, where this model can be asked for them.

        Raises:
            InputError: it was not told classes, or they are not ``count`` numbers of classes.
        """
        if labels is None:
            return None
        if not self.classes:
            raise InputError("this model was not told classes and cannot be asked for one; train with --conditional")
        if labels.shape != (count,) or (count and not 0 <= int(labels.min()) <= int(labels.max()) <= len(self.classes)):
            raise InputError(f"labels must be {count} class numbers from 0 to {len(self.classes) - 1}")
        return labels

    def _drawn_labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        if not self.classes:
            return None
        return torch.multinomial(self.frequencies, max(1, count), True, generator=generator)[:count]

    # Latent space

    def _reversible(self, steps: int) -> list[Level]:
        """An even path with the cleanest level of all as its last: from there to clean, nearly nothing is lost."""
        numbers = [round(len(self.schedule) * left / steps) for left in range(steps, 0, -1)]
        self.schedule.check(steps)
        return self.schedule.path(numbers if numbers[-1] == 1 else [*numbers, 1])

    @torch.no_grad()
    def encode(self, inputs: Tensor, labels: Tensor | None = None, steps: int = _STEPS) -> Tensor:
        """The noise ``(N, *latent)`` that :meth:`decode` makes these examples of.

        Args:
            inputs: images as bytes or in [0, 1], rows in the data's own units.
            labels: ``(N,)`` class numbers; None leaves the class untold.
            steps: of the path.
        """
        self.eval()
        values, path = self.standardized(inputs.to(self.levels.device)), self._reversible(steps)
        return invert(self._path_denoiser(path, values, labels), values, path)

    @torch.no_grad()
    def decode(self, codes: Tensor, labels: Tensor | None = None, steps: int = _STEPS) -> Tensor:
        """Examples ``(N, *shape)`` of noise, by the deterministic sampler; arguments as of :meth:`encode`."""
        self.eval()
        codes, path = codes.to(self.levels.device), self._reversible(steps)
        return self.restored(run("deterministic", self._path_denoiser(path, codes, labels), codes, path))

    def _path_denoiser(self, path: Sequence[Level], values: Tensor, labels: Tensor | None) -> NetworkDenoiser:
        chosen = self.checked_labels(len(values), labels)
        return self.denoiser(path, None if chosen is None else chosen.to(values.device), ready=values)

    def predict(self, inputs: Tensor) -> Tensor:
        """Examples as the model can make them: encoded to noise, and made of it again."""
        return self.decode(self.encode(inputs))
