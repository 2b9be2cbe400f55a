"""Text as it is written, piece by piece."""

import codecs
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pendio.data.text.tokens import Tokenizer
from pendio.errors import InputError, quoted
from pendio.sequences.decoding.beam import beam_search
from pendio.sequences.decoding.options import Sampling
from pendio.sequences.decoding.sampling import continued
from pendio.sequences.models.language_model import LanguageModel

__all__ = ["Piece", "encoded_prompt", "likeliest", "silent", "write"]


class Piece(NamedTuple):
    """A piece of text.

    Attributes:
        row: which of the texts it goes on with.
        text: what is new; what might be the beginning of a stop sequence is held back.
        ended: whether this text is complete.
    """

    row: int
    text: str
    ended: bool


def encoded_prompt(tokenizer: Tokenizer, prompt: str) -> Tensor:
    """A prompt's tokens ``(T,)``; an empty one becomes a line end, where a text begins, or else the first token.

    Raises:
        InputError: it holds what the model has never seen.
    """
    if prompt == "":
        prompt = "" if tokenizer.unknown_in("\n") else "\n"
    unknown = tokenizer.unknown_in(prompt)
    if unknown:
        raise InputError(f"--prompt has {quoted(unknown)}, unknown to this model's tokenizer of {tokenizer.kind}")
    tokens = torch.from_numpy(tokenizer.encode(prompt).copy())
    return tokens if len(tokens) else torch.tensor([tokenizer.first])


def silent(model: LanguageModel, tokenizer: Tokenizer) -> list[int]:
    """Tokens of a model that stand for no text: marks and the unknown one, and those that its tokenizer never makes."""
    return [*range(tokenizer.first), *range(tokenizer.size, model.vocabulary)]


def write(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    sampling: Sampling,
    most: int,
    stop: Sequence[str] = (),
) -> Iterator[Piece]:
    """Continue prompts, and give the text as it comes.

    Args:
        model: in evaluation mode.
        tokenizer: of the model.
        prompts: one a text.
        sampling: how tokens are chosen.
        most: tokens of each text at most.
        stop: a text ends before the first of these that it would hold.

    Raises:
        InputError: a prompt holds what the model has never seen, or a stop sequence is empty.
    """
    if "" in stop:
        raise InputError("--stop must not be empty")
    device = next(model.parameters()).device
    tokens = [encoded_prompt(tokenizer, prompt).to(device) for prompt in prompts]
    longest = max(len(one) for one in tokens)
    if model.context is not None and longest > model.context:
        raise InputError(f"--prompt has {longest} tokens, and this model holds {model.context} at once: shorten it, or "
                         "train with a longer --context")  # fmt: skip
    writers = [_Writer(tokenizer, stop) for _ in prompts]
    for number, chosen in enumerate(continued(model, tokens, sampling, most, silent(model, tokenizer)), 1):
        for row, (writer, token) in enumerate(zip(writers, chosen.tolist(), strict=True)):
            if not writer.ended:
                yield Piece(row, writer.take(token, last=number == most), writer.ended)
        if all(writer.ended for writer in writers):
            return


@torch.inference_mode()
def likeliest(
    model: LanguageModel, tokenizer: Tokenizer, prompt: str, beams: int, most: int, stop: Sequence[str] = ()
) -> list[str]:
    """The likeliest continuations that a beam search finds, the best first.

    Args:
        model: in evaluation mode.
        tokenizer: of the model.
        prompt: how they begin.
        beams: how many beginnings are kept at each step.
        most: tokens of each.
        stop: a text ends before the first of these.

    Raises:
        InputError: as for :func:`write`, or prompt and text together are longer than the model can hold at once.
    """
    if "" in stop:
        raise InputError("--stop must not be empty")
    tokens = encoded_prompt(tokenizer, prompt).to(next(model.parameters()).device)
    if model.context is not None and len(tokens) + most > model.context:
        raise InputError(f"--beams keeps a whole text: the {len(tokens)} tokens of --prompt and the {most} of --tokens "
                         f"together must be at most {model.context}")  # fmt: skip
    never = torch.tensor(silent(model, tokenizer), dtype=torch.long, device=tokens.device)

    def step(chosen: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = model(chosen, state)
        return logits.index_fill(-1, never, float("-inf")), state

    logits, state = model.read([tokens], len(tokens) + most)
    found = beam_search(step, logits.index_fill(-1, never, float("-inf")), state, beams=beams, most=most, end=None)
    texts = [tokenizer.decode(hypothesis.tokens) for hypothesis in found[0]]
    return [text[: min((place for one in stop if (place := text.find(one)) >= 0), default=None)] for text in texts]


class _Writer:
    """Turns one text's tokens into characters as soon as it is sure of them."""

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str]) -> None:
        self.tokenizer, self.stop = tokenizer, stop
        self.ended = False
        # A character may come in several tokens: what is none yet is kept until it is one, or can be none.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def take(self, token: int, last: bool) -> str:
        """The text that is sure once ``token`` has come."""
        self._held += self._decoder.decode(self.tokenizer.pieces[token], last)
        ends = [place for one in self.stop if (place := self._held.find(one)) >= 0]
        if ends or last:
            self.ended = True
            return self._held[: min(ends)] if ends else self._held
        kept = max((_overlap(self._held, one) for one in self.stop), default=0)
        sure, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return sure


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text might begin a stop sequence."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
