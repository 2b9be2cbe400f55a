"""Which classes a generator makes, judged by the nearest training examples, and whether it copies them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.data.examples import Data
from pendio.generation.examples import spaced
from pendio.generation.gan.features import spread
from pendio.generation.quality.neighbors import Neighborhoods, neighborhoods

if TYPE_CHECKING:
    from pendio.generation.gan.task import Gan

__all__ = ["GanProbe", "nearest_classes", "probe"]

_LOOKED_AT = 2048
_MADE = 1000
_VOTES = 3


@dataclass(frozen=True)
class GanProbe:
    """What the best weights make of the data.

    Attributes:
        classes: names of the data's classes; empty where it has none.
        real: share of each class among the training examples.
        made: share of each class among what is made, by the vote of the three nearest training examples.
        obeyed: share of what is made that looks like the class that was asked for; None where none can be asked for.
        diversity: mean distance between two that are made, relative to that of real ones.
        neighborhoods: precision and recall against training examples.
        unseen: the same of held-out examples: what the best generator could reach.
        copied: median distance of what is made to the nearest training example, relative to that of held-out ones.
        overfitting: (D(training) − D(held out))/(D(training) − D(made)) of mean logits (Karras et al., 2020): 0 where the
            discriminator knows new examples as well as those it learned from, 1 where it takes them for made.
        accuracy: share of held-out and made examples that the discriminator tells apart.
    """

    classes: tuple[str, ...]
    real: tuple[float, ...]
    made: tuple[float, ...]
    obeyed: float | None
    diversity: float
    neighborhoods: Neighborhoods | None
    unseen: Neighborhoods | None
    copied: float
    overfitting: float
    accuracy: float

    @property
    def missing(self) -> list[str]:
        """Classes that are made less than three tenths as often as the data has them."""
        rows = zip(self.classes, self.real, self.made, strict=True)
        return [name for name, real, made in rows if made < 0.3 * real]


@torch.no_grad()
def probe(task: "Gan", data: Data) -> GanProbe:
    """Look at a trained GAN: at up to 2048 training and held-out examples, and at 1000 that are made."""
    task.to("cpu").eval()
    train, held = (spaced(split, _LOOKED_AT) for split in (data.train, data.split("test")))
    seen, unseen = task.prepare(train.inputs), task.prepare(held.inputs)
    codes = task.codes(_MADE, torch.Generator().manual_seed(1))
    made = torch.cat([task.generate(part) for part in codes.split(256)])
    asked = codes[:, task.noise :].argmax(1) if task.classes else None
    features, new, drawn = (task.components(part) for part in (seen, unseen, made))
    classes = data.classes if len(data.classes) > 1 else ()
    named = nearest_classes(features, train.targets, drawn, len(classes)) if classes else None
    logits = [
        task.judge(part, task.weights_of(labels)).double()
        for part, labels in ((seen, train.targets), (unseen, held.targets), (made, asked))
    ]
    on_seen, on_unseen, on_made = (values.mean() for values in logits)
    middle = (on_unseen + on_made) / 2
    enough = min(len(features), len(new)) > 5
    return GanProbe(
        classes=classes,
        real=_shares(train.targets, len(classes)),
        made=() if named is None else _shares(named, len(classes)),
        obeyed=None if asked is None or named is None else float((named == asked).double().mean()),
        diversity=spread(drawn) / max(spread(features), 1e-12),
        neighborhoods=neighborhoods(features, drawn) if enough else None,
        unseen=neighborhoods(features, new) if enough else None,
        copied=_nearest(drawn, features) / max(_nearest(new, features), 1e-12),
        overfitting=float((on_seen - on_unseen) / (on_seen - on_made).clamp(min=1e-12)),
        accuracy=float(torch.cat([logits[1] > middle, logits[2] < middle]).double().mean()),
    )


def nearest_classes(known: Tensor, labels: Tensor, features: Tensor, classes: int) -> Tensor:
    """The class ``(M,)`` of most of the three nearest of ``known`` ``(N, D)``; of equals the lowest number."""
    votes = labels[torch.cdist(features, known).topk(min(_VOTES, len(known)), 1, largest=False).indices]
    return F.one_hot(votes, classes).sum(1).argmax(1)


def _nearest(features: Tensor, known: Tensor) -> float:
    return float(torch.cdist(features, known).min(1).values.median())


def _shares(labels: Tensor, classes: int) -> tuple[float, ...]:
    if not classes:
        return ()
    return tuple((torch.bincount(labels, minlength=classes) / len(labels)).tolist())
