"""Options that are known to work for a task on some data; what a person names goes before them."""

from collections.abc import Mapping
from typing import Any

from pendio.detection.options import DetectOptions
from pendio.detection.presets import preset as for_boxes
from pendio.reinforcement.presets import AGENTS
from pendio.reinforcement.presets import preset as for_agents
from pendio.segmentation.options import SegmentOptions
from pendio.segmentation.presets import preset as for_maps
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.tagging.presets import preset as for_tags

__all__ = ["preset"]


def preset(task: str, named: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the options are for, in words, and the options themselves; both empty where the defaults must do.

    Args:
        task: what is trained.
        named: the options that were named, of which model, data and env count.
    """
    if task in AGENTS:
        environment = str(named.get("env", ""))
        return environment, for_agents(task, environment)
    if task == "segment":
        data = str(named.get("data", SegmentOptions.data))
        return data, for_maps(data)
    if task == "detect":
        model, data = (str(named.get(name, getattr(DetectOptions, name))) for name in ("model", "data"))
        return f"{model} on {data}", for_boxes(model, data)
    if task == "tag":
        model, data = (str(named.get(name, getattr(TagOptions, name))) for name in ("model", "data"))
        return f"{model} on {data}", for_tags(model, data)
    return "", {}
