"""Truths about classifiers."""

import torch

from pendio.classification import task as classifying
from pendio.classification.models import build, pretrained
from pendio.classification.prediction import Prediction, predict
from pendio.data.examples import Examples
from pendio.descent import classes
from pendio.exact.check import Check

__all__ = ["CHECKS"]


def _classifier(label_smoothing: float = 0.0) -> classifying.Classifier:
    torch.manual_seed(0)
    return classifying.Classifier(build("mlp", (4,), [0.0] * 4, [1.0] * 4, "abc"), label_smoothing=label_smoothing)


def _loss() -> tuple[float, float]:
    """Cross-entropy with a tenth of each label spread out, against −Σ p log q in plain numbers."""
    task = _classifier(label_smoothing=0.1).double()
    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.tensor([0, 1, 2, 2, 1, 0])
    loss = task.loss(Examples(inputs, targets, targets))
    with torch.no_grad():
        probabilities = task.network(inputs).exp()
        probabilities /= probabilities.sum(1, keepdim=True)
    smooth = 0.9 * torch.eye(3, dtype=torch.float64)[targets] + 0.1 / 3
    return loss.total.item() / float(loss.weight), float(-(smooth * probabilities.log()).sum() / 6)


def _calibration() -> tuple[float, float]:
    """Sure to 80 % and right in three of four: a gap of 0.05."""
    task = _classifier()
    sure = torch.tensor([[0.8, 0.1, 0.1]]).repeat(4, 1)
    task.measure_probabilities(sure, torch.tensor([0, 0, 0, 1]))
    return task.metrics()["calibration_error"], 0.05


def _f1() -> tuple[float, float]:
    """Three hits, one miss, two false alarms: F1 = 2·3/(2·3 + 1 + 2)."""
    return classes.per_class(torch.tensor([[3, 1], [2, 4]]))[0]["f1"], 2 / 3


def _espresso() -> tuple[float, float]:
    (answer,) = predict(pretrained("efficientnet-lite0"), ["coffee"], top=1)
    assert isinstance(answer, Prediction)
    return (answer.probabilities[0] if answer.classes == ("espresso",) else 0.0), 0.94


CHECKS = (
    Check("cross-entropy", "the loss with label smoothing is −Σ p log q", _loss, 1e-9),
    Check("calibration", "the calibration error is the gap between confidence and accuracy", _calibration, 1e-6),
    Check("f1", "F1 is the harmonic mean of precision and recall", _f1, 1e-12),
    Check("efficientnet", "EfficientNet-Lite0 sees an espresso with the published certainty", _espresso, 0.005),
)
