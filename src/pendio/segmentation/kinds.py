"""Names that options choose from."""

from typing import Literal

__all__ = ["ClassWeights", "LossKind"]

LossKind = Literal["ce", "dice", "focal", "ce+dice", "focal+dice"]
"""What is learnt from: see :mod:`pendio.segmentation.losses`."""

ClassWeights = Literal["none", "balanced", "median-frequency"]
"""How much more pixels of rare classes count: see :func:`pendio.segmentation.losses.class_weights`."""
