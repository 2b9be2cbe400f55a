"""The restyler as a task: its loss, its metrics, and that its weights alone move."""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torchmetrics import MeanMetric

from pendio.descent.task import Loss, Task
from pendio.nn.network import unit_range
from pendio.restyling.network import Restyler
from pendio.restyling.perception import Perception, Seen

__all__ = ["Restyle", "Weights"]

_CHUNK = 8
"""Images that are measured at once: the network's widest maps weigh far more than the images."""


class Weights(NamedTuple):
    """How much the parts of the loss count: α, β and that of the total variation."""

    content: float = 1.0
    style: float = 5.0
    smooth: float = 0.05


_WEIGHTS = Weights()


class Restyle(Task):
    """A network that learns to repaint any image in one style.

    The loss is α·content + β·style + smooth·roughness; see :class:`pendio.restyling.perception.Seen`.

    Args:
        restyler: what learns.
        perception: what judges; None where the task only predicts.
        weights: of the parts of the loss.
    """

    def __init__(self, restyler: Restyler, perception: Perception | None = None, weights: Weights = _WEIGHTS) -> None:
        super().__init__()
        self.restyler = restyler
        self.perception = perception
        self.weights = weights
        self.mean_loss, self.mean_content, self.mean_style = (MeanMetric(nan_strategy="disable") for _ in range(3))

    def _prepared(self, inputs: Tensor) -> Tensor:
        """Images in [0, 1] with the restyler's channels."""
        return unit_range(inputs).expand(-1, self.restyler.channels, -1, -1)

    def _judged(self, inputs: Tensor) -> tuple[Tensor, Seen]:
        """The loss of each image ``(N,)``, and what it is made of."""
        if self.perception is None:
            raise ValueError("this task has no perception to judge by: it only predicts")
        originals = self._prepared(inputs)
        seen = self.perception(self.restyler(originals).float(), originals)
        alpha, beta, smooth = self.weights
        return alpha * seen.content + beta * seen.style + smooth * seen.roughness, seen

    def loss(self, batch: Any) -> Loss:
        """The perceptual loss of a batch of images, whatever their labels."""
        losses, _ = self._judged(batch.inputs)
        return Loss(losses.sum(), len(losses))

    def measure(self, batch: Any) -> None:
        """Take in a batch of held-out images."""
        for inputs in batch.inputs.split(_CHUNK):
            losses, seen = self._judged(inputs)
            self.mean_loss.update(losses)
            self.mean_content.update(seen.content)
            self.mean_style.update(seen.style)

    def metrics(self) -> dict[str, float]:
        """Means over the images: the loss, and its parts content and style before they are weighted."""
        means = {"loss": self.mean_loss, "content": self.mean_content, "style": self.mean_style}
        metrics = {name: float(mean.compute()) for name, mean in means.items()}
        for mean in means.values():
            mean.reset()
        return metrics

    def score(self, metrics: dict[str, float]) -> tuple[float, ...]:
        """The loss: the lower, the better."""
        return (-metrics["loss"],)

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Repainted images ``(N, C, H, W)`` in [0, 1], of images of any size, uint8 or in [0, 1]."""
        self.eval()
        return cast(Tensor, self.restyler(self._prepared(inputs)).float())
