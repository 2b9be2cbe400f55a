"""The translator as a task: teacher forcing, its loss and its metrics."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric

from pendio.data.text.buckets import Ragged
from pendio.data.text.pairs import Pairs
from pendio.data.text.tokens import PAD, Tokenizer
from pendio.descent.task import Loss, Task
from pendio.errors import InputError, excerpt, quoted
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.sequences.diagnosis import diagnose_training
from pendio.sequences.translation.network import Translator

__all__ = ["Translate"]


class Translate(Task):
    """A network that learns to write target texts, given source texts.

    While training, the decoder reads the true tokens before the one it is to write, whatever it would have written
    itself (teacher forcing). The loss is the cross-entropy with the true token's probability lowered to 1 − ε and ε spread
    evenly over all tokens (Szegedy et al., 2016).

    Args:
        network: what learns.
        source, target: tokenizers, with marks.
        label_smoothing: ε, in [0, 1).
        knows_unknown: whether there was an unknown source token to learn from.
        longest: the most tokens that it writes, END among them: no more than the targets had that it learnt from, for it
            does not know what comes behind. By default as many as there are places.
    """

    def __init__(
        self, network: Translator, source: Tokenizer, target: Tokenizer, label_smoothing: float = 0.0,
        knows_unknown: bool = False, longest: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.source, self.target = network, source, target
        self.label_smoothing, self.knows_unknown = label_smoothing, knows_unknown
        self.longest = longest or network.form.length
        self.mean_loss, self.mean_accuracy, self.mean_exact = (MeanMetric(nan_strategy="disable") for _ in range(3))

    def _answered(self, batch: Pairs) -> tuple[Tensor, Tensor]:
        """Logits ``(N, T, V)`` under teacher forcing, and the true tokens ``(N, T)``."""
        logits = self.network(batch.inputs, batch.targets[:, :-1])
        return logits.float(), batch.targets[:, 1:]

    def loss(self, batch: Any) -> Loss:
        """The smoothed cross-entropy in nats, summed over target tokens, END among them and padding not."""
        logits, answers = self._answered(batch)
        total = F.cross_entropy(
            logits.flatten(0, 1), answers.flatten(), ignore_index=PAD, reduction="sum",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        return Loss(total, (answers != PAD).sum())

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out pairs.

        Greedy decoding gives a target exactly where, given the true tokens before, each true token is the likeliest: so
        one pass tells what decoding step by step would.
        """
        logits, answers = self._answered(batch)
        present = answers != PAD
        losses = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="none").view_as(answers)
        right = logits.argmax(-1) == answers
        self.mean_loss.update(losses[present])
        self.mean_accuracy.update(right[present].float())
        self.mean_exact.update((right | ~present).all(1).float())

    def metrics(self) -> dict[str, float]:
        """Means over what was measured.

        ``loss``: nats a target token, without smoothing; ``accuracy``: share of tokens that are the likeliest, given the
        true ones before; ``exact``: share of targets that greedy decoding gives token for token.
        """
        means = {"loss": self.mean_loss, "accuracy": self.mean_accuracy, "exact": self.mean_exact}
        metrics = {name: float(mean.compute()) for name, mean in means.items()}
        for mean in means.values():
            mean.reset()
        return metrics

    def diagnose(self, evidence: Evidence) -> list[Diagnosis]:
        """What went wrong, as far as a run's curves and gradients tell."""
        return diagnose_training(evidence)

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """Exact translations first; among equals the lower loss."""
        return metrics["exact"], -metrics["loss"]

    def encode(self, texts: Sequence[str], allow_unknown: bool = False) -> Ragged:
        """Source tokens of texts, without white space at their ends, as in training.

        Args:
            texts: what to translate.
            allow_unknown: take also what the network never saw in training.

        Raises:
            InputError: a text is empty or too long, or has characters or words that the network never saw; the message
                names them.
        """
        sequences = []
        for number, text in enumerate(map(str.strip, texts), 1):
            if not text:
                raise InputError(f"text {number} is empty: there is nothing to translate")
            unknown = [] if allow_unknown or self.knows_unknown else self.source.unknown_in(text)
            if unknown:
                raise InputError(f"text {number}, '{excerpt(text)}', has {quoted(unknown)}, which the translator never saw: "
                                 "none of the texts that it learnt from has it")  # fmt: skip
            tokens, most = self.source.encode(text), self.network.form.length
            if len(tokens) > most:
                raise InputError(f"text {number}, '{excerpt(text)}', has {len(tokens)} tokens, and the translator reads "
                                 f"{most} at most; train it with a larger --length, or give parts")  # fmt: skip
            sequences.append(tokens)
        return Ragged.of(sequences)

    @torch.no_grad()
    def predict(self, inputs: Sequence[str]) -> list[str]:
        """Greedy translations of texts, all in one batch.

        Raises:
            InputError: see :meth:`encode`.
        """
        if not inputs:
            return []
        self.eval()
        tokens = self.encode(inputs).padded(torch.arange(len(inputs)))
        written = self.network.greedy(tokens.to(self.network.source.weight.device), self.longest)
        return [self.target.decode(row) for row in written.tolist()]
