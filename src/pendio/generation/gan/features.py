"""Features in which examples are compared cheaply at each evaluation: principal components, each of variance 1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Components", "spread"]

_SIDE = 16
_KEPT = 32
_PAIRED = 1024


class Components(nn.Module):
    """The first principal components of examples, whitened; images are seen at 16 pixels a side at most.

    Args:
        shape: of an example.

    Attributes:
        count: D, how many components there are: 32, or fewer where examples have fewer values.
    """

    center: Tensor
    directions: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._side = min(shape[1:]) if len(shape) == 3 else 0
        values = self._small(torch.zeros(1, *shape)).shape[1]
        self.count = min(_KEPT, values)
        self.register_buffer("center", torch.zeros(values))
        self.register_buffer("directions", torch.zeros(values, self.count))

    def _small(self, examples: Tensor) -> Tensor:
        if self._side > _SIDE:
            examples = F.adaptive_avg_pool2d(examples, _SIDE)
        return examples.flatten(1)

    @torch.no_grad()
    def fit(self, examples: Tensor) -> "Components":
        """Find the components of examples ``(N, …)``, in units in which the networks see them."""
        values = self._small(examples).double()
        center = values.mean(0)
        _, lengths, directions = torch.linalg.svd(values - center, full_matrices=False)
        deviations = lengths / max(1, len(values) - 1) ** 0.5
        used = (deviations[: self.count] > 1e-3 * deviations[0]).sum()
        self.center.copy_(center)
        self.directions.zero_()[:, :used] = directions[:used].T / deviations[:used]
        return self

    def forward(self, examples: Tensor) -> Tensor:
        """Features ``(N, D)``."""
        # The distances that the features are for have more digits than half precision.
        with torch.autocast(examples.device.type, enabled=False):
            features: Tensor = (self._small(examples.float()) - self.center) @ self.directions
            return features


def spread(features: Tensor) -> float:
    """The mean distance between two of the first 1024 rows of ``(N, D)``, which has two at least."""
    return float(torch.pdist(features[:_PAIRED].float()).mean())
