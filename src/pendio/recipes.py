"""``pendio.train`` and ``pendio.load``: a recipe or a trained thing by its name."""

from pathlib import Path
from typing import Any

from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network
from pendio.runs.run import Run

__all__ = ["load", "network", "train"]

TASKS = ("classify",)


def train(task: str, progress: bool = True, **options: Any) -> Run:
    """Train, as ``pendio train TASK`` does.

    Args:
        task: "classify".
        progress: show how it goes on standard error.
        options: those of the command line, with underscores: ``data="digits", epochs=10, lr=1e-3``.

    Raises:
        InputError: the task or an option is unknown or unfit.
    """
    if task not in TASKS:
        raise InputError(f"unknown task '{task}': {did_you_mean(task, TASKS)}")
    from pendio.classification.options import Classify
    from pendio.classification.recipe import classify

    return classify(Classify.of(options), progress)


def load(name: str | Path) -> Any:
    """A trained task from its run folder, or a published network by its name.

    Args:
        name: a run folder, "efficientnet-lite0", "timm:NAME" or "torchvision:NAME".

    Raises:
        InputError: there is none, or it is damaged.
    """
    if Path(name).is_dir():
        from pendio.classification.recipe import load_classifier

        return load_classifier(Run.open(name))
    from pendio.classification.models import LITE0, MODELS, pretrained

    text = str(name)
    if text in MODELS:
        raise InputError(f"'{text}' is a form without weights; train it first: pendio train classify --model {text}")
    if text != LITE0 and ":" not in text:
        known = did_you_mean(text, [LITE0, "timm:NAME", "torchvision:NAME"])
        raise InputError(f"there is no run folder and no network '{text}'; {known}")
    return pretrained(text)


def network(name: str | Path) -> Network:
    """The network of a run or a published one.

    Raises:
        InputError: as for :func:`load`, or the task has no single network.
    """
    loaded = load(name)
    found = loaded if isinstance(loaded, Network) else getattr(loaded, "network", None)
    if not isinstance(found, Network):
        raise InputError(f"'{name}' has no single network to look into")
    return found
