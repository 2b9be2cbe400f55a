"""The normalising flow as a task: its exact density, its codes and what it makes."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric

from pendio.descent.task import Loss, Task
from pendio.errors import InputError
from pendio.generation.flow.curves import diagnose_flow_curves
from pendio.generation.flow.pixels import Pixels, bits_per_dimension
from pendio.generation.flow.transforms import Transform, initialize
from pendio.generation.rows import Standard
from pendio.nn.network import unit_range
from pendio.pictures.tiles import tiled
from pendio.runs.diagnosis import Diagnosis, Evidence

__all__ = ["Flow", "standard_normal"]

_HALF_LOG_TWO_PI = 0.9189385332046727
_CHUNK = 1024
_SHOWN = 64


def standard_normal(codes: Tensor) -> Tensor:
    """log N(z; 0, I) ``(N,)`` of codes ``(N, D)``."""
    return -(codes.square() / 2 + _HALF_LOG_TWO_PI).sum(1)


class Flow(Task):
    """log p(x) = log N(f(x); 0, I) + log|det ∂f/∂x|, with f invertible (Rezende and Mohamed, 2015).

    Args:
        transform: f, from prepared examples to codes ``(N, D)``.
        shape: of an example.
        pixels: how images get to the real line; None for tables.
        mean, std: of each feature of a table, which is standardised; empty for images.
        classes: names of those that can be asked for; none where it is not conditional.
        shares: how often the data has each of them; empty for equally often.

    Attributes:
        latent: shape of a code: D numbers, and with classes a weight of each after them.
    """

    shares: Tensor

    def __init__(
        self, transform: Transform, shape: Sequence[int], pixels: Pixels | None = None, mean: Sequence[float] = (),
        std: Sequence[float] = (), classes: Sequence[str] = (), shares: Sequence[float] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.transform, self.pixels = transform, pixels
        self.shape, self.classes = tuple(shape), tuple(classes)
        self.dimensions = int(torch.Size(shape).numel())
        self.latent: tuple[int, ...] = (self.dimensions + len(self.classes),)
        self.standard = Standard(mean, std)
        self.register_buffer("shares", torch.tensor(list(shares) or [1.0] * len(self.classes)), persistent=False)
        self.mean_nll = MeanMetric(nan_strategy="disable")

    # Density

    def prepare(self, inputs: Tensor, noise: Tensor | float = 0.5) -> tuple[Tensor, Tensor]:
        """Examples on the real line, and the log-determinant ``(N,)`` of how they got there.

        Args:
            inputs: images as bytes or in [0, 1], rows in the data's own units.
            noise: in [0, 1), what is added to grey levels.
        """
        if self.pixels is not None:
            return self.pixels.to_line(self.pixels.dequantize(unit_range(inputs), noise))
        values = self.standard(inputs)
        return values, -self.standard.scale.log().sum().expand(len(inputs))

    def restore(self, values: Tensor) -> Tensor:
        """The opposite of :meth:`prepare`."""
        return self.standard.inverse(values) if self.pixels is None else self.pixels.to_images(values)

    def context_of(self, labels: Tensor | None) -> Tensor | None:
        """Weights of classes ``(N, K)`` of labels ``(N,)``; None where there are no classes."""
        if not self.classes:
            return None
        if labels is None:
            raise InputError("this flow knows a density of each class: labels are needed")
        return F.one_hot(labels.long(), len(self.classes)).to(self.shares)

    def _density(self, inputs: Tensor, labels: Tensor | None, noise: Tensor | float) -> Tensor:
        # Sums of logarithms need the digits that half precision has not.
        with torch.autocast(inputs.device.type, enabled=False):
            values, log_det = self.prepare(inputs, noise)
            codes, change = self.transform(values, self.context_of(labels))
            density: Tensor = standard_normal(codes) + change + log_det
            return density

    @torch.no_grad()
    def log_prob(self, inputs: Tensor, labels: Tensor | None = None, noise: Tensor | float = 0.5) -> Tensor:
        """log p ``(N,)`` in nats: of rows in the data's own units, of images in dequantised levels y in [0, 1].

        With classes it is log p(x | class) for ``labels``, and without labels log Σ p(class)·p(x | class).
        """
        self.eval()
        if self.classes and labels is None:
            priors = (self.shares / self.shares.sum()).log()
            return (self.class_log_probs(inputs, noise) + priors).logsumexp(1)
        return torch.cat([
            self._density(part, None if labels is None else labels[begin : begin + _CHUNK],
                          noise[begin : begin + _CHUNK] if isinstance(noise, Tensor) else noise)
            for begin, part in zip(range(0, len(inputs), _CHUNK), inputs.split(_CHUNK), strict=True)
        ])  # fmt: skip

    def class_log_probs(self, inputs: Tensor, noise: Tensor | float = 0.5) -> Tensor:
        """log p(x | class) ``(N, K)``: with the shares of the classes, a classifier by Bayes' rule."""
        ones = torch.ones(len(inputs), dtype=torch.long, device=inputs.device)
        return torch.stack([self.log_prob(inputs, k * ones, noise) for k in range(len(self.classes))], 1)

    # What is learned

    def initialize(self, inputs: Tensor, labels: Tensor) -> None:
        """Let normalisations take their first values from these examples."""
        self.eval()
        # Without noise a pixel that is always black would have no spread to normalise by.
        noise = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(0)).to(inputs.device)
        values, _ = self.prepare(inputs, noise)
        initialize(self.transform, values, self.context_of(labels if self.classes else None))

    def loss(self, batch: Any) -> Loss:
        """−log p in nats a dimension."""
        noise = torch.rand(batch.inputs.shape, device=batch.inputs.device)
        density = self._density(batch.inputs, batch.targets if self.classes else None, noise)
        return Loss(-density.sum() / self.dimensions, len(density))

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out examples; the same examples always meet the same noise."""
        generator = torch.Generator().manual_seed(int(batch.indices[0]))
        noise = torch.rand(batch.inputs.shape, generator=generator).to(batch.inputs.device)
        self.mean_nll.update(-self.log_prob(batch.inputs, batch.targets if self.classes else None, noise))

    def metrics(self) -> dict[str, float]:
        """``loss``, nats a dimension; ``nll``, nats an example; and of images ``bpd``, bits per dimension."""
        nll = self.mean_nll.compute().cpu()
        self.mean_nll.reset()
        metrics = {"loss": float(nll) / self.dimensions, "nll": float(nll)}
        if self.pixels is not None:
            metrics["bpd"] = float(bits_per_dimension(-nll, self.dimensions, self.pixels.levels))
        return metrics

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The likelihood: the higher, the better."""
        return (-metrics["loss"],)

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as curves and gradients tell."""
        return diagnose_flow_curves(evidence)

    # What it is for

    def predict(self, inputs: Tensor) -> Tensor:
        """log p ``(N,)``; see :meth:`log_prob`."""
        return self.log_prob(inputs)

    @torch.no_grad()
    def encode(self, inputs: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes ``(N, *latent)``; those of ``labels`` where there are classes, or of the likeliest ones."""
        self.eval()
        if self.classes and labels is None:
            labels = (self.class_log_probs(inputs) + self.shares.log()).argmax(1)
        context = self.context_of(labels)
        codes = cast(Tensor, self.transform(self.prepare(inputs)[0], context)[0])
        return codes if context is None else torch.cat([codes, context.to(codes)], 1)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Examples ``(N, *shape)`` of codes ``(N, *latent)``: the exact inverse of :meth:`encode`."""
        self.eval()
        made = []
        for part in codes.split(_CHUNK):
            values, context = part[:, : self.dimensions], part[:, self.dimensions :]
            made.append(self.restore(self.transform.inverse(values, context if self.classes else None)))
        return torch.cat(made)

    def sample(
        self, count: int, *, generator: torch.Generator, labels: Tensor | None = None, temperature: float = 1.0
    ) -> Tensor:
        """See :meth:`pendio.generation.making.Maker.sample`.

        Raises:
            InputError: classes are asked for where there are none, or there is no such class.
        """
        device = next(self.parameters()).device
        if labels is not None and not self.classes:
            raise InputError("this flow was trained without classes: none can be asked of it; train with --conditional")
        codes = temperature * torch.randn(count, self.dimensions, generator=generator).to(device)
        if self.classes:
            if labels is None:
                labels = torch.multinomial(self.shares.cpu(), count, replacement=True, generator=generator)
            if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
                raise InputError(f"there is no class {int(labels.max())}: this flow has {len(self.classes)}, from 0 on")
            context = self.context_of(labels.to(device))
            assert context is not None
            codes = torch.cat([codes, context], 1)
        return self.decode(codes)

    def pictures(self) -> dict[str, bytes]:
        """Samples of images; nothing of tables."""
        if self.pixels is None:
            return {}
        return {"samples": tiled(self.sample(_SHOWN, generator=torch.Generator().manual_seed(0)))}
