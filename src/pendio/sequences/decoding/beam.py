"""Beam search: keep the likeliest beginnings, not only the likeliest next token."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Hypothesis", "Stepper", "beam_search"]

Stepper = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Maps tokens ``(M, 1)`` and the state before them to logits ``(M, 1, V)`` and the state after."""


class Hypothesis(NamedTuple):
    """A sequence that was found.

    Attributes:
        tokens: their numbers, without the one that ends it.
        score: its log-probability over its length to the power of the penalty; the end counts as a token.
        log_probability: natural logarithm.
    """

    tokens: list[int]
    score: float
    log_probability: float


def beam_search(
    step: Stepper, logits: Tensor, state: Any, *, beams: int, most: int, end: int | None, penalty: float = 1.0
) -> list[list[Hypothesis]]:
    """For each row up to ``beams`` sequences, the best first.

    With one beam it is greedy decoding; with as many as there are sequences it is exhaustive.

    Args:
        step: the model.
        logits: ``(N, V)`` of the first token.
        state: what the model has kept of the N rows; its ``select`` reorders rows.
        beams: how many beginnings of a row are kept at each step.
        most: tokens at most, the end included.
        end: the token that ends a sequence; None where only ``most`` does.
        penalty: α in log p / length^α (Wu et al., 2016, without their constant): 0 prefers short sequences, 1 compares
            means.
    """
    rows, size = logits.shape
    device = logits.device
    scores = torch.full((rows, beams), float("-inf"), device=device, dtype=torch.float64)
    scores[:, 0] = 0.0
    logits = logits[:, None].expand(rows, beams, size)
    state = state.select(torch.arange(rows, device=device).repeat_interleave(beams))
    written = torch.zeros(rows, beams, 0, dtype=torch.long, device=device)
    done: list[list[Hypothesis]] = [[] for _ in range(rows)]
    for length in range(1, most + 1):
        reached = scores[:, :, None] + logits.double().log_softmax(2)
        # Twice as many candidates as beams: even if all best ones end here, as many go on.
        best, places = reached.flatten(1).topk(min(2 * beams, beams * size))
        sources, tokens = places // size, places % size
        ends = torch.zeros_like(tokens, dtype=torch.bool) if end is None else tokens == end
        last = length == most
        _collect(done, written, best, sources, tokens, ends, last, length**penalty, beams)
        if last or all(
            _settled(found, best[row, 0].item(), length, most, penalty, beams) for row, found in enumerate(done)
        ):
            break
        order = (ends | best.isinf()).to(torch.int8).argsort(dim=1, stable=True)[:, :beams]
        scores = best.masked_fill(ends, float("-inf")).gather(1, order)
        sources, tokens = sources.gather(1, order), tokens.gather(1, order)
        written = torch.cat([written.gather(1, sources[:, :, None].expand(-1, -1, length - 1)), tokens[:, :, None]], 2)
        rows_of_state = (sources + torch.arange(rows, device=device)[:, None] * beams).flatten()
        logits, state = step(tokens.reshape(-1, 1), state.select(rows_of_state))
        logits = logits[:, -1].unflatten(0, (rows, beams))
    return done


def _collect(
    done: list[list[Hypothesis]],
    written: Tensor,
    best: Tensor,
    sources: Tensor,
    tokens: Tensor,
    ends: Tensor,
    last: bool,
    divisor: float,
    beams: int,
) -> None:
    """Take in the candidates that end here, and at the last step all."""
    for row, found in enumerate(done):
        if _greedy_and_done(found, beams):
            continue
        for rank in range(best.shape[1]):
            total, ended = float(best[row, rank]), bool(ends[row, rank])
            if total == float("-inf") or not ((ended and rank < beams) or last):
                continue
            before = written[row, sources[row, rank]].tolist()
            found.append(Hypothesis(before if ended else [*before, int(tokens[row, rank])], total / divisor, total))
        found.sort(key=lambda hypothesis: -hypothesis.score)
        del found[beams:]


def _settled(found: list[Hypothesis], best: float, length: int, most: int, penalty: float, beams: int) -> bool:
    """Whether nothing that goes on can still come among the best: probabilities only fall."""
    if _greedy_and_done(found, beams):
        return True
    if len(found) < beams:
        return False
    # A negative sum over the largest divisor there can still be is the best that is left to hope for.
    divisor: float = (most if penalty > 0 else length) ** penalty
    return best / divisor <= found[-1].score


def _greedy_and_done(found: list[Hypothesis], beams: int) -> bool:
    """Whether the one beam there is has ended: what would go on instead of it was never the likeliest."""
    return beams == 1 and len(found) == 1
