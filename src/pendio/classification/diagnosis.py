"""Gathering the evidence for a classifier's diagnosis."""

import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pendio.classification.task import Classifier
from pendio.data.examples import Data, Split
from pendio.runs.diagnosis import Diagnosis, Evidence, Probe, diagnose
from pendio.runs.run import Run

__all__ = ["diagnose_classifier", "gather"]

_LOOKED_AT = 4096
"""Training examples that are looked at."""

_BATCH = 64

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def diagnose_classifier(run: Run, task: Classifier, data: Data) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        task: with the weights to look at.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    return diagnose(gather(run, task, data))


@torch.no_grad()
def gather(run: Run, task: Classifier, data: Data) -> Evidence:
    """The evidence: what the run wrote down, and what its weights make of the data now."""
    task = copy.deepcopy(task).cpu().eval()
    watch = _Activations(task)
    train_accuracy, train_loss = _score(task, data.train, _LOOKED_AT)
    dead, saturated = watch.close()
    rows = list(_answers(task, data.val))
    probabilities, targets = (torch.cat(column) for column in zip(*rows, strict=True))
    sure, guess = probabilities.max(1)
    wrong = guess != targets
    contradicted = (sure > 0.5) & (probabilities[torch.arange(len(targets)), targets] < 0.05)
    probe = Probe(
        chance=float(torch.bincount(targets).max() / len(targets)),
        train_accuracy=train_accuracy,
        train_loss=train_loss,
        val_accuracy=float((~wrong).double().mean()),
        batch_loss=_batch_loss(task, data.train),
        dead=dead,
        saturated=saturated,
        named=(len(guess.unique()), len(data.classes)),
        contradicted=float(contradicted[wrong].double().mean()) if wrong.any() else 0.0,
        leaked=_leaked(data),
        errors=int(wrong.sum()),
        held_out=len(targets),
    )
    return Evidence(run.history(), run.layers(), probe)


def _answers(task: Classifier, split: Split, most: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    seen = 0
    for batch in split.batches(_BATCH):
        if len(batch.targets):
            yield task.network(batch.inputs).float().softmax(1), batch.targets
        seen += len(batch.targets)
        if most is not None and seen >= most:
            return


def _score(task: Classifier, split: Split, most: int) -> tuple[float, float]:
    """Accuracy and mean cross-entropy."""
    hits = loss = count = 0.0
    for probabilities, targets in _answers(task, split, most):
        hits += float((probabilities.argmax(1) == targets).sum())
        loss -= float(probabilities[torch.arange(len(targets)), targets].clamp_min(1e-30).log().sum())
        count += len(targets)
    return hits / max(1, count), loss / max(1, count)


def _batch_loss(task: Classifier, split: Split) -> float | None:
    """The loss with the statistics of batches, which are as mixed as in training; None without batch normalisation."""
    norms = [module for module in task.modules() if isinstance(module, _NORMS)]
    if not norms:
        return None
    batched = copy.deepcopy(task).eval()
    for module in batched.modules():
        if isinstance(module, _NORMS):
            module.train()
            module.track_running_stats = False
    total = count = 0.0
    for batch in split.batches(_BATCH, epoch=0):
        loss = nn.functional.cross_entropy(batched.network(batch.inputs).float(), batch.targets, reduction="sum")
        total, count = total + float(loss), count + len(batch.targets)
        if count >= _LOOKED_AT:
            break
    return total / max(1, count) if math.isfinite(total) else None


def _leaked(data: Data) -> float:
    """Share of the held-out examples with an exact copy among the training examples looked at."""
    seen = {content for batch in data.train.batches(_BATCH) for content in _contents(batch.inputs)}
    held = [data.val, *([data.test] if data.test is not None else [])]
    contents = [content for split in held for batch in split.batches(_BATCH) for content in _contents(batch.inputs)]
    return sum(content in seen for content in contents) / max(1, len(contents))


def _contents(inputs: Tensor) -> Iterator[int]:
    """A hash of each example."""
    for example in inputs.contiguous():
        yield hash(example.numpy().tobytes())


class _Activations:
    """Watches ReLU, sigmoid and tanh layers over many batches."""

    def __init__(self, module: nn.Module) -> None:
        self._active: dict[str, Tensor] = {}
        self._ends: dict[str, tuple[float, int]] = {}
        self._handles = []
        for name, layer in module.named_modules():
            if isinstance(layer, nn.ReLU | nn.ReLU6):
                self._handles.append(layer.register_forward_hook(self._relu(name)))
            elif isinstance(layer, nn.Sigmoid | nn.Tanh):
                self._handles.append(layer.register_forward_hook(self._sigmoid(name, isinstance(layer, nn.Tanh))))

    def _relu(self, name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            # A channel of a map is one unit: it is dead when it is so everywhere.
            fired = (output > 0).transpose(0, 1).flatten(1).any(1)
            self._active[name] = self._active.get(name, torch.zeros_like(fired)) | fired

        return hook

    def _sigmoid(self, name: str, is_tanh: bool) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            level = (output + 1) / 2 if is_tanh else output
            ends, count = self._ends.get(name, (0.0, 0))
            self._ends[name] = ends + float(((level < 0.01) | (level > 0.99)).sum()), count + output.numel()

        return hook

    def close(self) -> tuple[dict[str, float], dict[str, float]]:
        """Shares of dead units and of saturated outputs, by layer."""
        for handle in self._handles:
            handle.remove()
        dead = {name: float((~fired).double().mean()) for name, fired in self._active.items() if len(fired) >= 4}
        return dead, {name: ends / max(1, count) for name, (ends, count) in self._ends.items()}
