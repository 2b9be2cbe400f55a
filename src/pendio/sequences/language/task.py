"""The language model as a task: its loss, its metrics, and the state it carries through a text."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import SumMetric

from pendio.data.text.tokens import Tokenizer
from pendio.data.text.windows import Windows
from pendio.descent.task import Loss, Task
from pendio.nn.cache import Carried
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.sequences.diagnosis import diagnose_training
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["Language", "Surprise"]

_LOGITS_AT_ONCE = 1 << 24
"""Logits that are held at once when measuring: a large vocabulary times a long text would fill the memory."""


class Surprise(NamedTuple):
    """How a text surprised a model, token by token.

    Attributes:
        nats: ``(B, T)`` −ln p(token | tokens before).
        hits: ``(B, T)`` whether the token was the likeliest.
    """

    nats: Tensor
    hits: Tensor


class Language(Task):
    """A language model that learns by cross-entropy, window by window.

    Where the body carries its state, each window goes on where the one before it in its row ended, and the gradient
    stops there: truncated backpropagation through time (Williams and Peng, 1990).

    Args:
        model: what learns.
        tokenizer: what its tokens stand for.
    """

    token_bytes: Tensor

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.carries = model.reader.carries
        lengths = torch.from_numpy(np.ascontiguousarray(tokenizer.byte_lengths()))
        self.register_buffer("token_bytes", lengths, persistent=False)
        self.nats, self.hits, self.tokens, self.bytes = (_sum() for _ in range(4))
        self._before: Carried | None = None
        self._measured: Carried | None = None

    def _state(self, before: Carried | None, fresh: Tensor) -> Carried | None:
        """The state that a batch begins with."""
        if not self.carries:
            return None
        initial: Carried = self.model.reader.begin(len(fresh))
        if before is None or len(before.tensors[0]) != len(fresh):
            return initial
        return before.renewed(fresh, initial)

    def loss(self, batch: Windows) -> Loss:
        """Cross-entropy, summed over the tokens of a batch."""
        logits, after = self.model(batch.inputs, self._state(self._before, batch.fresh))
        self._before = after.detach() if self.carries else None
        total = F.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten(), reduction="sum")
        return Loss(total, batch.targets.numel())

    def carried(self) -> dict[str, Tensor]:
        """The state after the last training batch."""
        before = () if self._before is None else self._before.tensors
        return {str(number): tensor for number, tensor in enumerate(before)}

    def carry(self, carried: Mapping[str, Tensor]) -> None:
        """Go on from :meth:`carried`."""
        self._before = Carried([carried[str(number)] for number in range(len(carried))]) if carried else None

    @torch.no_grad()
    def surprise(self, batch: Windows, state: Carried | None = None) -> tuple[Surprise, Any]:
        """How each target surprises the model, and the state after them."""
        features, after = self.model.features(batch.inputs, state)
        rows = max(1, _LOGITS_AT_ONCE // (batch.inputs.shape[1] * self.model.vocabulary))
        nats, hits = [], []
        for some, targets in zip(features.split(rows), batch.targets.split(rows), strict=True):
            logits = self.model.logits(some).float()
            nats.append(F.cross_entropy(logits.transpose(1, 2), targets, reduction="none"))
            hits.append(logits.argmax(2) == targets)
        return Surprise(torch.cat(nats), torch.cat(hits)), after

    def measure(self, batch: Windows) -> None:
        """Take in a batch of held-out windows, which go on where those of the batch before ended."""
        found, after = self.surprise(batch, self._state(self._measured, batch.fresh))
        self._measured = after if self.carries else None
        self.nats.update(found.nats.double().sum())
        self.hits.update(found.hits.sum().double())
        self.tokens.update(float(batch.targets.numel()))
        self.bytes.update(self.token_bytes[batch.targets].sum().double())

    def metrics(self) -> dict[str, float]:
        """Nats a token, perplexity, bits a byte of text, and how often the likeliest token came."""
        metrics = (self.nats, self.hits, self.tokens, self.bytes)
        nats, hits, tokens, size = (float(metric.compute()) for metric in metrics)
        for metric in metrics:
            metric.reset()
        self._measured = None
        return summary(nats, hits, tokens, size)

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as a run's curves and gradients tell."""
        return diagnose_training(evidence)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The loss: the lower, the better."""
        return (-metrics["loss"],)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Logits ``(N, T, V)`` of the token after each of ``(N, T)``."""
        self.eval()
        logits: Tensor = self.model(inputs)[0].float()
        return logits


def _sum() -> SumMetric:
    metric = SumMetric(nan_strategy="disable")
    metric.set_dtype(torch.float64)
    return metric


def summary(nats: float, hits: float, tokens: float, size: float) -> dict[str, float]:
    """Metrics of sums over a text of ``size`` bytes.

    Perplexity is exp(nats/token); bits a byte are nats/(ln 2 · bytes) and compare across tokenizers. Tokens that stand
    for no text add nats and no bytes.
    """
    loss = nats / max(1.0, tokens)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),
        "bits_per_byte": nats / math.log(2) / max(1.0, size),
        "accuracy": hits / max(1.0, tokens),
    }
