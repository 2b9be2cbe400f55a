"""Names that options choose from."""

from typing import Literal

__all__ = ["AnchorChoice", "BoxLoss", "NeckKind", "SuppressionKind"]

AnchorChoice = Literal["auto", "data", "published"]
"""Where anchors come from: clustered from the training boxes, or as the model's authors published them."""

BoxLoss = Literal["v1", "darknet", "bce", "giou", "ciou"]
"""Losses on the same targets: see :mod:`pendio.detection.yolo.losses`."""

NeckKind = Literal["fpn", "hierarchy", "single", "image-pyramid"]
"""Ways to see objects of many sizes: see :mod:`pendio.detection.necks.pyramids`."""

SuppressionKind = Literal["hard", "linear", "gaussian"]
"""What happens to the weaker of two overlapping boxes: it goes, or its score is lowered."""
