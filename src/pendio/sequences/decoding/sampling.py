"""Choosing the next token."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from pendio.data.randomness import uniforms
from pendio.sequences.decoding.options import Sampling
from pendio.sequences.decoding.steps import stepper
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["Sampling", "choose", "continued", "probabilities"]


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """The probabilities ``(N, V)`` that tokens are drawn with, from logits ``(N, V)``.

    softmax(logits / temperature), then all but the ``top_k`` likeliest are left out, then all but the nucleus of
    ``top_p`` (Holtzman et al., 2020): the fewest likeliest tokens whose probabilities reach it together.
    """
    if sampling.temperature == 0:
        return torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)
    scaled = logits.double() / sampling.temperature
    if sampling.top_k is not None and sampling.top_k < scaled.shape[1]:
        least = scaled.topk(sampling.top_k).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, float("-inf"))
    chances = scaled.softmax(1)
    if sampling.top_p is not None and sampling.top_p < 1:
        ordered, order = chances.sort(1, descending=True)
        # A token belongs to the nucleus while those before it have not reached top_p: the first always does.
        outside = ordered.cumsum(1) - ordered >= sampling.top_p
        chances = torch.zeros_like(chances).scatter_(1, order, ordered.masked_fill(outside, 0.0))
    return chances / chances.sum(1, keepdim=True)


def choose(logits: Tensor, sampling: Sampling, step: int) -> Tensor:
    """The next token of each row ``(N,)``, drawn from logits ``(N, V)``.

    Chance depends on seed, row and step alone: a row's text does not change with what is written beside it.
    """
    if sampling.temperature == 0:
        return logits.argmax(1)
    chances = probabilities(logits, sampling)
    draws = uniforms(sampling.seed, step, torch.arange(len(logits)), 1).to(logits.device)
    reached = chances.cumsum(1)
    chosen = torch.searchsorted(reached, draws * reached[:, -1:], right=True)
    return chosen[:, 0].clamp_max(logits.shape[1] - 1)


@torch.inference_mode()
def continued(
    model: LanguageModel, prompts: Sequence[Tensor], sampling: Sampling, most: int, never: Sequence[int] = ()
) -> Iterator[Tensor]:
    """Tokens that continue prompts, ``(N,)`` at a time, ``most`` times.

    A model that has read as much as it can hold at once goes on from the latter half of that.

    Args:
        model: in evaluation mode.
        prompts: ``(T,)`` token numbers each, at least one; of what a model can hold at once only the end is read.
        sampling: how tokens are chosen.
        most: how many each prompt gets.
        never: tokens that are not chosen, such as the unknown one.
    """
    context = model.context
    written = [prompt if context is None else prompt[-context:] for prompt in prompts]
    barred = torch.tensor(never, dtype=torch.long, device=written[0].device)
    recent: list[Tensor] = []
    take_step = stepper(model)
    logits, state = _read(model, written, most)
    for step in range(most):
        if never:
            logits = logits.index_fill(1, barred, float("-inf"))
        chosen = choose(logits, sampling, step)
        yield chosen
        if step + 1 == most:
            return
        if context is None:
            logits, state = take_step(chosen, state)
            continue
        recent.append(chosen)
        if state.length < state.capacity:
            logits, state = take_step(chosen, state)
        else:
            written = _latter(written, torch.stack(recent, 1), context)
            recent.clear()
            logits, state = _read(model, written, most - step)


def _latter(written: Sequence[Tensor], recent: Tensor, context: int) -> list[Tensor]:
    """What is read again of each row: all of it, unless by itself it is more than fits; then it is what it were alone."""
    texts = [torch.cat([tokens, new]) for tokens, new in zip(written, recent, strict=True)]
    return [text if len(text) <= context else text[-max(1, context // 2) :] for text in texts]


def _read(model: LanguageModel, prompts: Sequence[Tensor], most: int) -> tuple[Tensor, Any]:
    longest = max(len(prompt) for prompt in prompts)
    capacity = None if model.context is None else min(model.context, longest + most)
    return model.read(prompts, capacity)
