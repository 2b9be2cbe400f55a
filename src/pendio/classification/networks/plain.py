"""Networks without tricks: the multi-layer perceptron, LeNet and a small modern CNN."""

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["CNN", "MLP", "LeNet"]


class MLP(nn.Sequential):
    """Linear layers with ReLU between, on flattened inputs ``(N, …)``."""

    def __init__(self, shape: Sequence[int], hidden: Sequence[int] = (256, 128)) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        width = 1
        for side in shape:
            width *= side
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU()]
            width = units
        super().__init__(*layers)
        self.num_features = width


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling instead of tanh and trained averages (LeCun et al., 1998).

    Two 5×5 convolutions, padded so that inputs from 8×8 on keep something to look at, then 120 and 84 units. Images of
    any size are averaged down to 5×5 before the units.
    """

    num_features = 84

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        channels, height, width = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5, padding=2),
            nn.ReLU(),
        )
        side = max(1, min(5, min(height, width) // 2))
        # Pooling as LeNet does while the map is large enough, and to a fixed size for what remains.
        self.pool = nn.Sequential(
            nn.MaxPool2d(2) if min(height, width) >= 20 else nn.Identity(), nn.AdaptiveAvgPool2d(side)
        )
        self.units = nn.Sequential(nn.Flatten(), nn.Linear(16 * side**2, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(N, 84)`` of images ``(N, C, H, W)``."""
        features: Tensor = self.units(self.pool(self.features(images)))
        return features


class CNN(nn.Module):
    """A small modern CNN: pairs of 3×3 convolutions with batch normalisation, halved and widened stage by stage.

    Stages follow until the map is 4 pixels or less, at most four. Small last maps are flattened, large ones averaged.
    """

    def __init__(self, shape: Sequence[int], width: int = 32) -> None:
        super().__init__()
        channels, height, width_in = shape
        side = min(height, width_in)
        stages: list[nn.Module] = []
        out = width
        while len(stages) < 4:
            stages.append(
                nn.Sequential(*_conv(channels, out), *_conv(out, out), nn.MaxPool2d(2) if side > 1 else nn.Identity())
            )
            channels, side = out, side // 2
            if side <= 2:
                break
            out *= 2
        self.stages = nn.Sequential(*stages)
        last = (max(1, height >> len(stages)), max(1, width_in >> len(stages)))
        flat = last[0] * last[1] <= 4
        self.pool = nn.Flatten() if flat else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.num_features = channels * last[0] * last[1] if flat else channels

    def forward(self, images: Tensor) -> Tensor:
        """Features ``(N, num_features)`` of images ``(N, C, H, W)``."""
        features: Tensor = self.pool(self.stages(images))
        return features


def _conv(channels: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
