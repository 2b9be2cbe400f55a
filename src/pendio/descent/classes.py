"""What all who tell classes apart count and weigh."""

from collections.abc import Sequence

from torch import Tensor

__all__ = ["balanced_weights", "per_class"]


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """A weight for each class, inversely to how many examples it has, and 1 on average over the examples."""
    total, kinds = sum(counts), len(counts)
    return [total / (kinds * max(1, count)) for count in counts]


def per_class(confusion: Tensor) -> list[dict[str, float]]:
    """Precision, recall, F1 and number of examples of each class, from a confusion matrix of (true, predicted) counts.

    A ratio with nothing to divide by is 0.
    """
    hits = confusion.diag().double()
    predicted, true = confusion.sum(0).double(), confusion.sum(1).double()
    precision = hits / predicted.clamp(min=1)
    recall = hits / true.clamp(min=1)
    f1 = 2 * hits / (predicted + true).clamp(min=1)
    columns = zip(precision.tolist(), recall.tolist(), f1.tolist(), true.tolist(), strict=True)
    return [{"precision": p, "recall": r, "f1": f, "examples": int(n)} for p, r, f, n in columns]
