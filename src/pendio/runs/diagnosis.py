"""Why training went as it did: rules over what a run left behind.

Each rule looks at evidence and says, at most, one thing: a sentence, the numbers behind it, a fix, and the option that
applies it. The remedies are the classic six (more data or augmentation, a simpler model, early stopping, regularisation,
averaging, dropout), and for an optimisation that does not get anywhere, a better rate, initialisation or architecture.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = ["STUCK", "Diagnosis", "Evidence", "LayerStep", "Probe", "Rule", "diagnose", "diagnose_curves"]


@dataclass(frozen=True)
class LayerStep:
    """Root mean squares of a weight tensor, its gradient and its update in one step."""

    weight: float
    gradient: float
    update: float

    @property
    def ratio(self) -> float:
        """Update to weight: about 10⁻³ where all is well, by experience."""
        return self.update / max(self.weight, 1e-30)


@dataclass(frozen=True)
class Probe:
    """What the best weights make of the data.

    Attributes:
        chance: accuracy of always naming the most frequent class.
        train_accuracy, train_loss, val_accuracy: with running statistics, without dropout.
        batch_loss: the training loss with each batch's own statistics; None without batch normalisation.
        dead: layer → share of its ReLU units that no example activates.
        saturated: layer → share of its sigmoid or tanh outputs within 1 % of their ends.
        named: how many classes are ever predicted, of how many.
        contradicted: share of the validation errors in which the label got less than 5 % and another class over 50 %.
        leaked: share of the held-out examples that also stand among the training examples.
        errors: number of validation errors.
    """

    chance: float
    train_accuracy: float
    train_loss: float
    val_accuracy: float
    batch_loss: float | None
    dead: Mapping[str, float]
    saturated: Mapping[str, float]
    named: tuple[int, int]
    contradicted: float
    leaked: float
    errors: int
    held_out: int


@dataclass(frozen=True)
class Evidence:
    """What a run left behind.

    Attributes:
        history: its evaluations, as in ``metrics.jsonl``.
        layers: for each epoch's first step, weight tensor → what happened to it, in the order of the network.
        probe: None while training goes on.
    """

    history: Sequence[Mapping[str, Any]]
    layers: Sequence[Mapping[str, LayerStep]] = field(default=())
    probe: Probe | None = None


@dataclass(frozen=True)
class Diagnosis:
    """A finding: its kind, a sentence, the evidence, a fix and the option that applies it."""

    kind: str
    sentence: str
    evidence: str
    fix: str
    flag: str

    def to_dict(self) -> dict[str, str]:
        """For ``--json``."""
        return asdict(self)


def diagnose(evidence: Evidence) -> list[Diagnosis]:
    """What went wrong, the likeliest cause first; empty where nothing did.

    A cause hides its own consequences: nobody needs to hear of underfitting where the gradient vanishes.
    """
    found = [finding for rule in _CAUSES if (finding := rule(evidence)) is not None]
    if not any(finding.kind in _STOPPERS for finding in found):
        found += [finding for rule in _CONSEQUENCES if (finding := rule(evidence)) is not None]
    return found


STUCK = frozenset({"lr-too-high", "lr-too-low", "exploding-gradients", "vanishing-gradients"})
"""Causes that explain most else: where one is found, their consequences need not be told."""

Rule = Callable[[Sequence[Mapping[str, Any]]], Diagnosis | None]
"""What a task knows of its own curves, as in ``metrics.jsonl``."""


def diagnose_curves(evidence: Evidence, flags: Mapping[str, str], rules: Sequence[Rule]) -> list[Diagnosis]:
    """What curves and gradients tell of a task with rules of its own.

    Args:
        evidence: what the run left behind.
        flags: kind of a finding of all tasks → the options that this task has for it.
        rules: looked at where nothing stops the training itself.
    """
    found = [replace(one, flag=flags.get(one.kind, one.flag)) for one in diagnose(evidence)]
    if any(one.kind in STUCK for one in found):
        return found
    return found + [one for one in (rule(evidence.history) for rule in rules) if one is not None]


# Data


def _leak(evidence: Evidence) -> Diagnosis | None:
    probe = evidence.probe
    if probe is None or probe.leaked < 0.02:
        return None
    return Diagnosis(
        "leak",
        "Held-out examples also stand among the training examples, so that the scores are too good.",
        f"{probe.leaked:.1%} of the held-out examples have an exact copy in the training split",
        "remove the copies, or split the data by origin instead of by example",
        "--data",
    )


def _labels(evidence: Evidence) -> Diagnosis | None:
    """Learnt by heart, and no better than chance on new examples."""
    probe, losses = evidence.probe, _column(evidence.history, "loss")
    if probe is None or probe.named[0] < 2 or not losses:
        return None
    luck = 3 * math.sqrt(probe.chance * (1 - probe.chance) / max(1, probe.held_out))
    # The kept weights are those of an early epoch then: it is the loss that tells of learning by heart.
    if probe.val_accuracy > probe.chance + luck or losses[-1] > 0.75 * losses[0]:
        return None
    return Diagnosis(
        "labels",
        "The labels do not follow from the inputs: the network learns them by heart and knows nothing about new ones.",
        f"the training loss fell from {losses[0]:.3g} to {losses[-1]:.3g}, but validation accuracy is "
        f"{probe.val_accuracy:.1%} where chance is {probe.chance:.1%}",
        "look at examples beside their labels: a column or a shuffle is probably out of step",
        "--data",
    )


def _mislabelled(evidence: Evidence) -> Diagnosis | None:
    """Errors on held-out examples that are made with confidence, though training examples are no better known."""
    probe = evidence.probe
    if probe is None or probe.errors < 5 or probe.val_accuracy > 0.95 or probe.val_accuracy < 0.7:
        return None
    if probe.contradicted < 0.5 or probe.train_accuracy - probe.val_accuracy > 0.06:
        return None
    return Diagnosis(
        "mislabelled",
        "Some labels are probably wrong: the network contradicts them with confidence, in training examples too.",
        f"in {probe.contradicted:.0%} of {probe.errors} validation errors the label gets less than 5 % probability; "
        f"training accuracy is {probe.train_accuracy:.1%} as well",
        "look at the worst predictions in the report and mend the labels, or soften them",
        "--label-smoothing 0.1",
    )


# Optimisation


def _lr_high(evidence: Evidence) -> Diagnosis | None:
    losses = _column(evidence.history, "loss")
    ratios = [_largest_ratio(layers) for layers in evidence.layers]
    if not losses or not ratios:
        return None
    # By what factor a loss changed means something of positive ones alone: log densities may be of either sign.
    wild = any(not math.isfinite(loss) for loss in losses) or max(losses) > 5 * losses[0] > 0
    thrown = max(ratios) > 0.3 and min(losses) > 0 and (min(losses) > 0.5 * losses[0] or losses[0] > 20)
    if not wild and not thrown:
        return None
    return Diagnosis(
        "lr-too-high",
        "The learning rate is too high: steps throw the weights about instead of improving them.",
        f"updates of up to {max(ratios):.2g} times the weights; the loss went from {losses[0]:.3g} to {losses[-1]:.3g}",
        "lower it tenfold, or let `pendio find-lr` choose",
        "--lr " + _rate(evidence, 0.1),
    )


def _lr_low(evidence: Evidence) -> Diagnosis | None:
    losses = _column(evidence.history, "loss")
    ratios = [_largest_ratio(layers) for layers in evidence.layers]
    if len(losses) < 2 or not ratios or max(ratios) > 3e-4 or losses[-1] < 0.7 * losses[0]:
        return None
    return Diagnosis(
        "lr-too-low",
        "The learning rate is too low: the weights hardly move.",
        f"updates are at most {max(ratios):.2g} of the weights; the loss went from {losses[0]:.3g} to {losses[-1]:.3g}",
        "raise it tenfold or more, or let `pendio find-lr` choose",
        "--lr " + _rate(evidence, 10),
    )


def _vanishing(evidence: Evidence) -> Diagnosis | None:
    shares = _gradient_shares(evidence)
    # A quarter of the epochs is enough: some networks get over it late, when the schedule has run out.
    share = shares[len(shares) // 4] if shares else 1.0
    if share > 1e-3:
        return None
    first, last = _ends(evidence)
    return Diagnosis(
        "vanishing-gradients",
        "The gradient vanishes on its way to the first layers, which therefore do not learn.",
        f"'{first}' gets {share:.1g} of the gradient of '{last}'",
        "use ReLU instead of sigmoid or tanh, residual connections and normalisation, or fewer layers",
        "--model resnet",
    )


def _exploding(evidence: Evidence) -> Diagnosis | None:
    shares = _gradient_shares(evidence)
    share = shares[-1 - len(shares) // 4] if shares else 1.0
    steps = [step for layers in evidence.layers for step in layers.values()]
    # What begins at zero, as the last layer of a residual branch may, has no weight to be compared with yet.
    largest = max((step.gradient / step.weight for step in steps if step.weight > 0), default=0.0)
    if share < 1e3 and largest < 1e3:
        return None
    first, _ = _ends(evidence)
    return Diagnosis(
        "exploding-gradients",
        "The gradient explodes on its way to the first layers.",
        f"gradients of up to {largest:.1g} times the weights; '{first}' gets {share:.2g} times the last layer's",
        "clip it, initialise with smaller weights, or normalise between the layers",
        "--clip 1",
    )


def _dead(evidence: Evidence) -> Diagnosis | None:
    layer, share = _worst(evidence.probe.dead if evidence.probe else {})
    if share < 0.6:
        return None
    return Diagnosis(
        "dead-relus",
        "Most ReLU units of a layer are dead: no example activates them, so that no gradient ever will.",
        f"{share:.0%} of the units of '{layer}'",
        "lower the learning rate, start anew with biases at zero, or normalise before the ReLU",
        "--lr " + _rate(evidence, 0.1),
    )


def _saturated(evidence: Evidence) -> Diagnosis | None:
    layer, share = _worst(evidence.probe.saturated if evidence.probe else {})
    if share < 0.6:
        return None
    return Diagnosis(
        "saturated",
        "Sigmoid or tanh units are saturated: at their ends their slope, and with it the gradient, is zero.",
        f"{share:.0%} of the outputs of '{layer}' lie within 1 % of an end",
        "normalise the inputs, start from smaller weights, or use ReLU",
        "--model cnn",
    )


def _batch_norm(evidence: Evidence) -> Diagnosis | None:
    probe = evidence.probe
    if probe is None or probe.batch_loss is None or probe.train_loss < 1.5 * probe.batch_loss + 0.1:
        return None
    return Diagnosis(
        "batch-norm",
        "Batch normalisation's running statistics do not fit the data: the network is worse in use than in training.",
        f"on the same examples the loss is {probe.batch_loss:.3g} with the batches' statistics and "
        f"{probe.train_loss:.3g} with the running ones",
        "use larger batches, train longer, or average the weights and their statistics",
        "--batch 64 --average ema",
    )


# Capacity


def _one_class(evidence: Evidence) -> Diagnosis | None:
    probe = evidence.probe
    if probe is None or probe.named[0] != 1 or probe.named[1] < 2:
        return None
    return Diagnosis(
        "one-class",
        "The network always names the same class.",
        f"1 of {probe.named[1]} classes is ever predicted; accuracy {probe.val_accuracy:.1%} is the share of that class",
        "weigh rare classes more, and look whether the inputs tell the classes apart at all",
        "--class-weights balanced",
    )


def _overfitting(evidence: Evidence) -> Diagnosis | None:
    probe = evidence.probe
    if probe is None or probe.train_accuracy - probe.val_accuracy < 0.08 or probe.train_accuracy < 0.7:
        return None
    return Diagnosis(
        "overfitting",
        "The network overfits: it knows its training examples much better than new ones.",
        f"training accuracy {probe.train_accuracy:.1%}, validation {probe.val_accuracy:.1%}",
        "more data or augmentation, a simpler model, early stopping, regularisation, averaging, dropout",
        "--augment shift,jitter --patience 5 --l2 1e-3 --average ema --dropout 0.3",
    )


def _underfitting(evidence: Evidence) -> Diagnosis | None:
    probe = evidence.probe
    if probe is None or probe.train_accuracy > 0.8 or probe.train_accuracy - probe.val_accuracy > 0.1:
        return None
    return Diagnosis(
        "underfitting",
        "The network underfits: it does not even know its training examples.",
        f"training accuracy {probe.train_accuracy:.1%}, chance {probe.chance:.1%}",
        "a larger model, more epochs, less regularisation",
        "--model cnn --epochs 60",
    )


_CAUSES = (
    _lr_high, _vanishing, _exploding, _saturated, _dead, _lr_low, _batch_norm, _leak, _labels, _one_class, _mislabelled,
)  # fmt: skip
_CONSEQUENCES = (_overfitting, _underfitting)
_STOPPERS = frozenset({
    "lr-too-high", "lr-too-low", "vanishing-gradients", "exploding-gradients", "saturated", "dead-relus", "batch-norm",
    "labels", "one-class",
})  # fmt: skip


def _column(history: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(record[name]) for record in history if name in record]


def _largest_ratio(layers: Mapping[str, LayerStep]) -> float:
    return max((step.ratio for step in layers.values()), default=0.0)


def _gradient_shares(evidence: Evidence) -> list[float]:
    """The first layer's gradient as a share of the last's in each epoch, in rising order.

    Networks of less than four layers have no way to vanish on.
    """
    shares = []
    for layers in evidence.layers:
        steps = list(layers.values())
        if len(steps) >= 4 and steps[-1].gradient > 0:
            shares.append(steps[0].gradient / steps[-1].gradient)
    return sorted(share for share in shares if math.isfinite(share))


def _ends(evidence: Evidence) -> tuple[str, str]:
    names = list(evidence.layers[0])
    return names[0], names[-1]


def _worst(shares: Mapping[str, float]) -> tuple[str, float]:
    return max(shares.items(), key=lambda item: item[1], default=("", 0.0))


def _rate(evidence: Evidence, factor: float) -> str:
    """The highest learning rate so far, changed."""
    rates = _column(evidence.history, "lr")
    return f"{max(rates) * factor:.1g}" if rates else "1e-3"
