"""Answers to new sequences: texts, lines of files, and images read pixel by pixel."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pendio.data.images import SUFFIXES, ImageError
from pendio.data.inputs import named_images
from pendio.data.streams import frame
from pendio.data.text.tables import read_text
from pendio.data.text.tokenizers import Tokenizer
from pendio.data.text.tokens import refuse_surrogates
from pendio.errors import InputError, excerpt
from pendio.nn.transformer import Transformer
from pendio.runs.run import Run
from pendio.sequences.tagging.network import Reader
from pendio.sequences.tagging.pretrained import Framed
from pendio.sequences.tagging.recipe import load_tagger, run_facts, run_tokenizer
from pendio.sequences.tagging.task import Tag

__all__ = ["Sequences", "StepTags", "Tagged", "open_sequences", "predict_tags"]


@dataclass(frozen=True)
class Tagged:
    """The likeliest classes of a sequence with their probabilities, the likeliest first.

    Attributes:
        input: the text, or the name of the image.
        classes, probabilities: one each.
        unknown: what in the text the tokenizer does not know, each once; it had no say.
    """

    input: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        top = [{"class": name, "probability": value} for name, value in pairs]
        first: dict[str, object] = {"input": self.input, "class": self.classes[0], "probability": self.probabilities[0]}
        return first | {"top": top} | ({"unknown": list(self.unknown)} if self.unknown else {})

    def __str__(self) -> str:
        pairs = zip(self.classes, self.probabilities, strict=True)
        return f"{self.input}: {', '.join(f'{name} {value:.3f}' for name, value in pairs)}{_unread(self.unknown)}"


@dataclass(frozen=True)
class StepTags:
    """The likeliest class at each of the last steps of a sequence, with its probability; otherwise as :class:`Tagged`."""

    input: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        steps = [{"class": name, "probability": value} for name, value in pairs]
        first: dict[str, object] = {"input": self.input, "steps": steps}
        return first | ({"unknown": list(self.unknown)} if self.unknown else {})

    def __str__(self) -> str:
        return f"{self.input}: {' '.join(self.classes)}{_unread(self.unknown)}"


def _unread(unknown: Sequence[str]) -> str:
    """What a person should know of a text that was not read whole; empty where it was."""
    return f" (not known, and left out: {', '.join(map(repr, unknown))})" if unknown else ""


@dataclass(frozen=True)
class Sequences:
    """What turns a user's inputs into what a trained tagger reads.

    Attributes:
        task: the tagger.
        tokenizer: of text; None where it reads images pixel by pixel.
        side: of these images in pixels; 0 for text.
        most: steps that it can read; None where there is no end.
    """

    task: Tag
    tokenizer: Tokenizer | None
    side: int = 0
    most: int | None = None

    def named(self, inputs: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Each sequence with its name: tokens ``(T,)`` or numbers ``(T, 1)``.

        Raises:
            InputError: an input cannot be read, is empty, too short or too long, or holds nothing that is known.
        """
        if self.tokenizer is None:
            yield from _images(inputs, self.side)
            return
        for text in _texts(inputs):
            yield text, self.tokens(text)

    def tokens(self, text: str) -> Tensor:
        """The tokens ``(T,)`` of a text.

        Raises:
            InputError: the text is empty, too short or too long, or holds nothing that is known.
        """
        assert self.tokenizer is not None
        refuse_surrogates(text)
        shown = excerpt(text)
        numbers = self.tokenizer.encode(text)
        if not len(numbers):
            raise InputError("an empty text has no answer; give one with a character at least")
        if self.tokenizer.unknown is not None and (numbers == self.tokenizer.unknown).all():
            raise InputError(f"nothing of the text '{shown}' stood in the training texts; give one in their script")
        if self.most is not None and len(numbers) > self.most:
            raise InputError(f"the text '{shown}' has {len(numbers)} tokens, and this model reads {self.most}; "
                             "shorten it, or train one with longer texts")  # fmt: skip
        asked = self.task.tagger.asked
        if asked is not None and len(numbers) < asked:
            raise InputError(f"the text '{shown}' has {len(numbers)} tokens, and the last {asked} are to be answered; "
                             "give a longer one")  # fmt: skip
        return torch.from_numpy(numbers)

    def unknown_in(self, text: str) -> tuple[str, ...]:
        """What in a text is unknown, each once."""
        return () if self.tokenizer is None else tuple(self.tokenizer.unknown_in(text))


def open_sequences(run: Run) -> Sequences:
    """The trained tagger of a run, and what reads a user's inputs for it.

    Raises:
        InputError: the run is damaged, or reads sequences of numbers that are no images.
    """
    task, facts = load_tagger(run), run_facts(run)
    tokenizer = run_tokenizer(run)
    if tokenizer is None:
        if facts["name"] != "pixels":
            raise InputError(f"this run reads {facts['length']} × {facts['features']} numbers a sequence of "
                             f"'{facts['name']}', and predict takes texts or images; see pendio evaluate")  # fmt: skip
        return Sequences(task, None, math.isqrt(facts["length"]))
    return Sequences(task, tokenizer, most=_most(task.tagger.encoder, facts["length"]))


def _most(encoder: nn.Module, length: int) -> int | None:
    """The most tokens that an encoder can read, trained on texts of up to ``length``; None where there is no end."""
    if isinstance(encoder, Framed):
        return encoder.most
    return length if isinstance(encoder, Reader) and isinstance(encoder.body, Transformer) else None


@torch.inference_mode()
def predict_tags(
    sequences: Sequences, inputs: Sequence[str], top: int = 5, batch: int = 64
) -> Iterator[Tagged | StepTags]:  # fmt: skip
    """Answer each input in turn; of a text file each of its lines.

    Args:
        sequences: a tagger, and what reads for it.
        inputs: texts and text files, or for a reader of pixels image files and folders of them.
        top: how many classes to report.
        batch: sequences that the network sees at once.

    Raises:
        InputError: see :meth:`Sequences.named`.
    """
    rows: list[tuple[str, Tensor]] = []
    for row in sequences.named(inputs):
        rows.append(row)
        if len(rows) == batch:
            yield from _answers(sequences, rows, top)
            rows = []
    if rows:
        yield from _answers(sequences, rows, top)


def _answers(sequences: Sequences, rows: Sequence[tuple[str, Tensor]], top: int) -> Iterator[Tagged | StepTags]:
    task = sequences.task
    device = next(task.parameters()).device
    if task.answer == "tokens":
        # The last steps of a padded sequence would be padding.
        answers = [task.predict(values[None].to(device))[0] for _, values in rows]
    else:
        padded = torch.nn.utils.rnn.pad_sequence([values for _, values in rows], batch_first=True)
        answers = list(task.predict(padded.to(device)))
    for (name, _), answer in zip(rows, answers, strict=True):
        best, numbers = answer.topk(1 if task.answer == "tokens" else min(top, len(task.classes)), dim=-1)
        classes = tuple(task.classes[number] for number in numbers.flatten().tolist())
        make = StepTags if task.answer == "tokens" else Tagged
        yield make(name, classes, tuple(best.flatten().tolist()), sequences.unknown_in(name))


def _texts(inputs: Sequence[str]) -> Iterator[str]:
    """Texts as they are, and each line of files, empty ones left out."""
    for text in inputs:
        if not _is_file(text):
            yield text
            continue
        lines = [line.strip() for line in read_text(Path(text)).splitlines()]
        if not any(lines):
            raise InputError(f"'{text}' has no text in it; put one on each line")
        yield from (line for line in lines if line)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


def _images(inputs: Sequence[str], side: int) -> Iterator[tuple[str, Tensor]]:
    for text in inputs:
        if not Path(text).exists():
            raise InputError(f"there is no image '{text}'; this model reads {side}×{side} pixels of image files "
                             f"({' '.join(SUFFIXES)})")  # fmt: skip
    for name, image in named_images(inputs, grey=True):
        if isinstance(image, ImageError):
            raise image
        yield name, frame(image, side).flatten()[:, None].float() / 255
