"""Edits: moving codes along an attribute's direction, and what else moves."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.generation.latent.codes import Codes, decoded
from pendio.generation.latent.directions import Method, attribute_direction
from pendio.generation.making import Latent

__all__ = ["Edit", "Probes", "edit", "fit_probes"]


@dataclass(frozen=True)
class Probes:
    """Scores of attributes, linear in the code, each with standard deviation 1 over the codes it was fitted on.

    Attributes:
        weights: ``(K, D)``.
        means: of the raw scores, ``(K,)``.
    """

    weights: Tensor
    means: Tensor

    def scores(self, values: Tensor) -> Tensor:
        """``(N, K)`` of codes ``(N, D)``."""
        return values @ self.weights.T - self.means


def fit_probes(values: Tensor, attributes: Tensor, method: Method = "lda") -> Probes:
    """A probe for each attribute ``(N, K)`` of codes ``(N, D)``."""
    weights = torch.stack([attribute_direction(values, has, method) for has in attributes.T])
    raw = values @ weights.T
    weights = weights / raw.std(0).clamp(min=1e-12)[:, None]
    return Probes(weights, (values @ weights.T).mean(0))


@dataclass(frozen=True)
class Edit:
    """What an edit did.

    Attributes:
        codes: the edited codes ``(steps, N, D)``.
        examples: of them ``(steps, N, *shape)``.
        strengths: how far each step went ``(steps,)``, in standard deviations of codes along the direction.
        moved: how far each attribute's score moved in the last step, on average ``(K,)``, in its standard deviations.
        entanglement: mean absolute move of the other attributes over that of the wanted one: 0 moves it alone.
    """

    codes: Tensor
    examples: Tensor
    strengths: Tensor
    moved: Tensor
    entanglement: float | None


def edit(
    task: Latent,
    codes: Codes,
    wanted: int,
    start: Tensor,
    *,
    strength: float = 3.0,
    steps: int = 7,
    method: Method = "mean",
) -> Edit:
    """Move examples towards attribute number ``wanted``, and measure what else moves.

    Scores are linear discriminants of the edited examples' codes, as the model encodes them again: what an edit does, not
    what it should do. The difference of means leads to where examples with the attribute are; a discriminant tells them
    apart best, and may lead out of all examples.

    Args:
        task: with the latent space.
        codes: with labels, to learn the attributes from.
        wanted: class number.
        start: codes ``(N, D)`` of the examples to edit.
        strength: of the last step, in standard deviations of codes along the direction.
        steps: from 0 to it, at least 2.
        method: how directions are found.
    """
    attributes = codes.attributes()
    direction = attribute_direction(codes.values, attributes[:, wanted], method)
    spread = (codes.values @ direction).std()
    strengths = torch.linspace(0, strength, steps, dtype=torch.float64)
    path = start + strengths[:, None, None] * spread * direction
    examples = decoded(task, path.flatten(0, 1)).unflatten(0, path.shape[:2])
    probes = fit_probes(codes.values, attributes)
    with torch.no_grad():
        ends = [task.encode(examples[step]).flatten(1).cpu().double() for step in (0, -1)]
    change = probes.scores(ends[1]) - probes.scores(ends[0])
    moved = change.mean(0)
    others = torch.arange(len(moved)) != wanted
    entanglement = change.abs().mean(0)[others].mean() / change.abs().mean(0)[wanted].clamp(min=1e-12)
    # Of two classes one is what the other is not: their scores are opposites.
    return Edit(path, examples, strengths, moved, float(entanglement) if len(moved) > 2 else None)
