"""Options that work for the embedded scenes. What is named on the command line goes before them."""

from typing import Any

__all__ = ["preset"]


def preset(model: str, data: str) -> dict[str, Any]:
    """What is known to work for some data in minutes on two processor cores; empty where the defaults must do."""
    if data != "scenes":
        return {}
    if model == "rcnn":
        return {"epochs": 2, "lr": 2e-3, "augment": "none"}
    # Digits are all of one shape: few anchors share what is learned of them. Which one it is costs most to learn.
    few = {"loss": "giou", "anchor_count": 4, "class_gain": 3.0} if model == "yolov3-tiny" else {}
    return {"epochs": 3 if few else 4, "lr": 4e-3, "warmup": 0.2, "augment": "none", "ema_decay": 0.98, **few}
