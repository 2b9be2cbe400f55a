"""On which of the past tokens the next one depends."""

from typing import NamedTuple

import torch
from torch import Tensor

from pendio.sequences.gradients import gradient_times_input
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["Dependence", "next_token"]


class Dependence(NamedTuple):
    """What the tokens of a text say for a token that may follow it: above 0 for it, below 0 against it.

    Attributes:
        token: its number.
        gradient: ``(T,)`` gradient times input.
    """

    token: int
    gradient: Tensor


def next_token(model: LanguageModel, tokens: Tensor, token: int | None = None) -> Dependence:
    """Σ_f x_tf · ∂z/∂x_tf of the logit z of what follows a text (Shrikumar et al., 2016).

    x is the token's embedding as the body reads it. Of a body that is linear in x, the sum over all tokens is z without
    its bias.

    Args:
        model: in evaluation mode.
        tokens: ``(T,)`` of the text.
        token: which may follow; by default the likeliest.
    """

    def logits(values: Tensor) -> Tensor:
        features, _ = model.reader(values)
        return model.logits(features[0, -1])

    with torch.no_grad():
        values = model.embedding(tokens[None]) * model.scale
        chosen = int(logits(values).argmax()) if token is None else token
    return Dependence(chosen, gradient_times_input(lambda read: logits(read)[chosen], values))
