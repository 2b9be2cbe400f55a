"""Adversarial training: learning from the worst images near each example (Madry et al., 2018)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Goal
from pendio.ascent.canvas import Pixels
from pendio.ascent.climb import climb
from pendio.ascent.constraints import Ball
from pendio.ascent.rules import Sign
from pendio.nn.network import Network, unit_range

__all__ = ["Adversary"]


@dataclass(frozen=True)
class Adversary:
    """Moves each image to where the loss is highest within a ball, by projected gradient ascent from a random start.

    Attributes:
        epsilon: radius in L∞, in units of the images' range.
        steps: of 2.5 · epsilon / steps each.
    """

    epsilon: float
    steps: int

    def __call__(self, network: Network, inputs: Tensor, classes: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` of the network's size in [0, 1], for the network as it is now, in evaluation mode.

        The start is drawn from torch's own generator, as dropout is: the loop keeps it with the run.
        """
        images = network.fit(unit_range(inputs)).detach()
        start = images + self.epsilon * (2 * torch.rand_like(images) - 1)
        ball = Ball(images, self.epsilon)
        rule = Sign(2.5 * self.epsilon / self.steps)
        goal = Goal(classes)
        with torch.enable_grad():
            return climb(
                network, goal.objective(), Pixels(), ball(start), rule=rule, steps=self.steps, project=ball
            ).images  # fmt: skip
