"""The autoencoder as a task: its loss, its metrics, its codes, and what it calls strange."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from pendio.descent.task import Loss, Task
from pendio.generation.autoencoder.corruption import corrupt
from pendio.generation.autoencoder.options import Corruption
from pendio.generation.rows import Standard
from pendio.generation.separation import separation
from pendio.nn.network import unit_range
from pendio.pictures.tiles import tiled

__all__ = ["Autoencoder", "psnr"]

_BESIDE = 12
_CHUNK = 1024


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio in decibels of images in [0, 1] with a mean squared error: −10 log₁₀ of it."""
    return float(-10 * torch.tensor(max(error, 1e-12), dtype=torch.float64).log10())


class _Tally(Metric):
    """Squared errors of held-out examples, each a mean over pixels or features."""

    scores: list[Tensor]
    targets: list[Tensor]
    corrupted: Tensor
    restored: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")
        for name in ("corrupted", "restored"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, scores: Tensor, targets: Tensor, corrupted: Tensor, restored: Tensor) -> None:
        self.scores.append(scores)
        self.targets.append(targets)
        self.corrupted += corrupted.sum()
        self.restored += restored.sum()

    def compute(self) -> tuple[Tensor, Tensor, float, float]:
        """All scores and targets, and the mean squared errors of corrupted and of restored examples."""
        scores, targets = dim_zero_cat(self.scores), dim_zero_cat(self.targets)
        return scores, targets, float(self.corrupted / len(scores)), float(self.restored / len(scores))


class Autoencoder(Task):
    """An encoder that compresses an example to a code, and a decoder that makes it of that code again.

    What is lowered is ‖x − d(e(x̃))‖² for an example x and what was made of it, x̃, which is x itself where nothing is to be
    taken away (Hinton and Salakhutdinov, 2006; Vincent et al., 2008).

    Args:
        encoder: maps examples to codes ``(N, L)``.
        decoder: maps codes to examples.
        latent: L.
        shape: of an example.
        mean, std: of each feature of a table, which is standardised; empty for images.
        corruption: what is done to inputs in training.
        level: how much.
        normal: the class number of normal examples; None where all are.
        classes: names that the number is one of; empty where there is none.

    Attributes:
        threshold: the score above which an example is an anomaly; infinite until it is calibrated.
    """

    threshold: Tensor

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, latent: int, shape: Sequence[int], mean: Sequence[float] = (),
        std: Sequence[float] = (), corruption: Corruption = "none", level: float = 0.3, normal: int | None = None,
        classes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.latent: tuple[int, ...] = (latent,)
        self.shape = tuple(shape)
        self.corruption, self.level, self.normal, self.classes = corruption, level, normal, tuple(classes)
        self.register_buffer("threshold", torch.tensor(float("inf")))
        self.standard = Standard(mean, std)
        self.tally = _Tally()
        self._held: Tensor | None = None

    @property
    def is_image(self) -> bool:
        """Whether an example is an image."""
        return len(self.shape) == 3

    def prepare(self, inputs: Tensor) -> Tensor:
        """Examples as the encoder wants them: images in [0, 1], tables standardised."""
        return unit_range(inputs) if self.is_image else self.standard(inputs)

    def restore(self, values: Tensor) -> Tensor:
        """The opposite of :meth:`prepare`, of what was decoded."""
        return values.clamp(0, 1) if self.is_image else self.standard.inverse(values)

    def _reconstructed(self, examples: Tensor) -> Tensor:
        made: Tensor = self.decoder(self.encoder(examples)).float()
        return made

    def loss(self, batch: Any) -> Loss:
        """The mean squared error of a batch, of what was corrupted against what it was."""
        examples = self.prepare(batch.inputs)
        made = self._reconstructed(corrupt(examples, self.corruption, self.level))
        return Loss((made - examples).square().flatten(1).mean(1).sum(), len(examples))

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out examples; the same examples always meet the same corruption."""
        examples = self.prepare(batch.inputs)
        if self._held is None:
            self._held = examples[:_BESIDE].detach()
        spoilt = self._spoilt(examples, int(batch.indices[0]))
        # What a picture shows of it: cutting off below black and above white takes noise away, too.
        seen = spoilt.clamp(0, 1) if self.is_image else spoilt
        self.tally.update(
            self._errors(examples), batch.targets, _error(seen, examples), _error(self._finished(spoilt), examples)
        )

    def _spoilt(self, examples: Tensor, seed: int) -> Tensor:
        return corrupt(examples, self.corruption, self.level, torch.Generator().manual_seed(seed))

    def _finished(self, examples: Tensor) -> Tensor:
        made = self._reconstructed(examples)
        return made.clamp(0, 1) if self.is_image else made

    def _errors(self, examples: Tensor) -> Tensor:
        return _error(self._finished(examples), examples)

    def metrics(self) -> dict[str, float]:
        """Means over the examples, and how well scores tell anomalies where both kinds were measured.

        ``mse`` is that of reconstructions, of standardised features for tables; ``psnr`` the same in decibels, of images;
        ``corrupted_psnr`` and ``restored_psnr`` are those of examples before and after noise was taken away, both cut off at
        black and white. ``alarms`` is
        the share of normal examples above the threshold, once there is one.
        """
        scores, targets, corrupted, restored = self.tally.compute()
        self.tally.reset()
        strange = torch.zeros(len(scores), dtype=torch.bool) if self.normal is None else (targets != self.normal).cpu()
        normal = scores[~strange.to(scores.device)]
        found = {"loss": restored}
        if len(normal):
            error = float(normal.mean())
            found["mse"] = error
            if self.is_image:
                found["psnr"] = psnr(error)
            if self.threshold.isfinite():
                found["alarms"] = float((normal > self.threshold).float().mean())
        if self.corruption != "none" and self.is_image:
            found |= {"corrupted_psnr": psnr(corrupted), "restored_psnr": psnr(restored)}
        return found | separation(scores.cpu(), strange)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The loss: the lower, the better."""
        return (-metrics["loss"],)

    @torch.no_grad()
    def encode(self, inputs: Tensor) -> Tensor:
        """The codes ``(N, L)`` of examples: images as bytes or in [0, 1], rows in the data's own units."""
        self.eval()
        return torch.cat([self.encoder(part).float() for part in self.prepare(inputs).split(_CHUNK)])

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """The examples ``(N, *shape)`` of codes: images in [0, 1], rows in the data's own units."""
        self.eval()
        return self.restore(torch.cat([self.decoder(part).float() for part in codes.split(_CHUNK)]))

    def predict(self, inputs: Tensor) -> Tensor:
        """Reconstructions ``(N, *shape)``."""
        return self.decode(self.encode(inputs))

    @torch.no_grad()
    def strangeness(self, inputs: Tensor) -> Tensor:
        """The score ``(N,)`` of each example: the mean squared error of its reconstruction."""
        self.eval()
        return torch.cat([self._errors(part) for part in self.prepare(inputs).split(_CHUNK)])

    @torch.no_grad()
    def heatmaps(self, inputs: Tensor) -> Tensor:
        """Where images are strange: the squared error ``(N, H, W)`` of each pixel, a mean over channels."""
        self.eval()
        parts = self.prepare(inputs).split(_CHUNK)
        return torch.cat([(self._finished(part) - part).square().mean(1) for part in parts])

    def pictures(self) -> dict[str, bytes]:
        """Held-out images above their reconstructions, and in between what was made of them where that differs."""
        if self._held is None or not self.is_image:
            return {}
        return {"reconstructions": self.beside(self._held)}

    @torch.no_grad()
    def beside(self, examples: Tensor) -> bytes:
        """Prepared images above, as the network sees them, and below, as it makes them: a PNG file."""
        spoilt = self._spoilt(examples, 0)
        rows = [examples, spoilt.clamp(0, 1), self._finished(spoilt)]
        return tiled(torch.cat(rows if self.corruption != "none" else rows[::2]), columns=len(examples))


def _error(values: Tensor, examples: Tensor) -> Tensor:
    return (values - examples).square().flatten(1).mean(1)
