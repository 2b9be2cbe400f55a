"""Which steps of its input a tagger listened to."""

from typing import NamedTuple

import torch
from torch import Tensor

from pendio.sequences.gradients import gradient_times_input as times_input
from pendio.sequences.tagging.network import Tagger, present_steps

__all__ = ["Listening", "gradient_times_input", "listen", "occlusion"]


class Listening(NamedTuple):
    """What the steps of a sequence say for an output: above 0 for it, below 0 against it.

    Attributes:
        output: its number, the same for all steps.
        gradient: ``(T,)`` of :func:`gradient_times_input`.
        occlusion: ``(T,)`` of :func:`occlusion`.
    """

    output: int
    gradient: Tensor
    occlusion: Tensor


def listen(tagger: Tagger, inputs: Tensor, output: int | None = None, step: int | None = None) -> Listening:
    """Which steps of one sequence an output listened to.

    Args:
        tagger: in evaluation mode.
        inputs: tokens ``(T,)`` or numbers ``(T, F)``.
        output: number of the class; by default the one with the highest logit.
        step: which of the ``asked`` answers, where there are several.
    """
    if output is None:
        with torch.no_grad():
            output = int(_outputs(tagger, tagger.embed(inputs[None]), inputs[None], step).argmax())
    gradient = gradient_times_input(tagger, inputs, output, step)
    return Listening(output, gradient, occlusion(tagger, inputs, output, step))


def gradient_times_input(tagger: Tagger, inputs: Tensor, output: int, step: int | None = None) -> Tensor:
    """Σ_f x_tf · ∂z/∂x_tf of an output's logit z: ``(T,)``, signed (Shrikumar et al., 2016).

    x is what stands for a step: its token's embedding, or its numbers. Of a model that is linear in x, the sum over all
    steps is z without its bias. Arguments as for :func:`listen`.
    """
    values = tagger.embed(inputs[None])
    return times_input(lambda read: _outputs(tagger, read, inputs[None], step)[0, output], values)


@torch.no_grad()
def occlusion(tagger: Tagger, inputs: Tensor, output: int, step: int | None = None, batch: int = 64) -> Tensor:
    """How much an output's logit falls when a step is blank: ``(T,)``, signed (Zeiler and Fergus, 2014).

    A blank step is a vector of zeros, as padding is, in its place. Arguments as for :func:`listen`; ``batch`` is how many
    steps are tried at once.
    """
    values = tagger.embed(inputs[None])
    length = values.shape[1]
    whole = _outputs(tagger, values, inputs[None], step)[0, output]
    falls = []
    for blanks in torch.arange(length, device=values.device).split(batch):
        tried = values.repeat(len(blanks), 1, 1)
        tried[torch.arange(len(blanks), device=values.device), blanks] = 0
        repeated = inputs[None].expand(len(blanks), *inputs.shape)
        falls.append(whole - _outputs(tagger, tried, repeated, step)[:, output])
    return torch.cat(falls)


def _outputs(tagger: Tagger, values: Tensor, inputs: Tensor, step: int | None) -> Tensor:
    """``(N, outputs)`` for embedded ``values`` of ``inputs``; of one of the asked steps, the last where none is named."""
    outputs = tagger.answer(values, present_steps(inputs))
    if tagger.asked is None:
        return outputs
    return outputs[:, tagger.asked - 1 if step is None else step]
