"""Looking inside a run on sequences while it reads a text: pictures in a folder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pendio.data.text.tokens import Tokenizer, refuse_surrogates
from pendio.errors import InputError, excerpt, quoted
from pendio.nn.transformer import Transformer
from pendio.pictures.attention import draw_attention
from pendio.pictures.listening import draw_listening, draw_listening_numbers
from pendio.runs.files import replacing, writing
from pendio.runs.run import Run
from pendio.sequences.language.task import Language
from pendio.sequences.looking.dependence import next_token
from pendio.sequences.looking.sights import Sight, chosen_kind, chosen_number, heads_sights, kinds_of, sights
from pendio.sequences.tagging.listening import gradient_times_input, listen
from pendio.sequences.tagging.network import Reader, Tagger
from pendio.sequences.tagging.prediction import Sequences
from pendio.sequences.tagging.pretrained import Framed
from pendio.sequences.tagging.task import Tag
from pendio.sequences.translation.report import look as look_while_translating
from pendio.sequences.translation.task import Translate

__all__ = ["Looked", "Seen", "look"]

_MOST = 1024
"""Steps that can be drawn: more would be thinner than a pixel."""


@dataclass(frozen=True)
class Seen:
    """A picture: its file, and a line on what it shows."""

    file: Path
    caption: str


@dataclass(frozen=True)
class Looked:
    """What was drawn.

    Attributes:
        input: what was read.
        answer: what was said to it: the likeliest next token, the translation, the class or number.
        pictures: which there are.
    """

    input: str
    answer: str
    pictures: tuple[Seen, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the pictures are."""
        return tuple(one.file for one in self.pictures)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        pictures = [{"file": str(one.file), "caption": one.caption} for one in self.pictures]
        return {"input": self.input, "answer": self.answer, "pictures": pictures}


def look(
    run: str | Path | Run | Language | Translate | Sequences,
    text: str,
    *,
    layer: int | None = None,
    head: int | None = None,
    kind: str | None = None,
    out: str | Path,
) -> Looked:
    """Draw what goes on inside a trained network while it reads a text.

    Of a Transformer its attention, of an LSTM its gates, of a plain recurrent network its hidden states, of the others
    the inputs on which the next token depends; of a translator where it looks in the source, and with a layer or head
    also where its encoder does; of a tagger to which inputs it listened, and of a Transformer its attention.

    Args:
        run: a run, its folder, or what was loaded from it.
        text: what to read; for a run on other sequences than texts an image file, or the number of a held-out sequence.
        layer: from 0 on, negative ones from the last; by default the last.
        head: of attention, counted likewise; by default all, and their mean.
        kind: "attention", "gates", "hidden" or "inputs", instead of what is said above.
        out: the folder that the pictures go to.

    Raises:
        InputError: the run is damaged, there is no such layer, head or kind in it, the text is empty, too long or not
            known to it, or the folder cannot be written.
    """
    if isinstance(run, str | Path | Run):
        opened = run if isinstance(run, Run) else Run.open(run)
        input_, answer, found = _look_at_run(opened, text, layer, head, kind)
    elif isinstance(run, Language):
        input_, (answer, found) = text, _language(run, text, layer, head, kind)
    elif isinstance(run, Translate):
        input_, (answer, found) = text, _translator(run, text, layer, head, kind)
    else:
        [(input_, values), *_] = run.named([text])
        answer, found = _tagger(run, values, layer, head, kind)
    return Looked(input_, answer, tuple(_written(Path(out), found)))


def _written(out: Path, found: Sequence[Sight]) -> list[Seen]:
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    seen = []
    for name, caption, png in found:
        file = out / f"{name}.png"
        with replacing(file) as opened:
            opened.write(png)
        seen.append(Seen(file, caption))
    return seen


_Found = tuple[str, list[Sight]]
"""What was answered, and what was seen."""


def _look_at_run(
    run: Run, text: str, layer: int | None, head: int | None, kind: str | None
) -> tuple[str, str, list[Sight]]:  # fmt: skip
    if run.recipe == "translate":
        from pendio.sequences.translation.recipe import load_translator

        return text, *_translator(load_translator(run), text, layer, head, kind)
    if run.recipe == "tag":
        from pendio.sequences.tagging.prediction import open_sequences
        from pendio.sequences.tagging.recipe import load_tagger, run_facts

        facts = run_facts(run)
        if facts["tokens"] is None and facts["name"] != "pixels":
            return text, *_tagger(Sequences(load_tagger(run), None), _held_out(run, text), layer, head, kind)
        sequences = open_sequences(run)
        [(name, values), *_] = sequences.named([text])
        return name, *_tagger(sequences, values, layer, head, kind)
    if run.recipe == "language":
        from pendio.sequences.language.recipe import load_language

        return text, *_language(load_language(run), text, layer, head, kind)
    raise InputError(f"the run in '{run.folder}' is of 'train {run.recipe}' and reads no sequences")


def _held_out(run: Run, text: str) -> Tensor:
    """A sequence of numbers, by its place in the test split."""
    from pendio.sequences.tagging.recipe import run_data

    split = run_data(run).split("test")
    if not (text.isascii() and text.isdigit() and int(text) < len(split)):
        raise InputError(f"'{text}' is no sequence for this run, which reads numbers: say which of the held-out sequences, "
                         f"0 to {len(split) - 1}")  # fmt: skip
    values: Tensor = split.take(torch.tensor([int(text)])).inputs[0]
    return values


def _language(task: Language, text: str, layer: int | None, head: int | None, kind: str | None) -> _Found:
    task.eval()
    model, names = task.model, task.tokenizer.names
    chosen = chosen_kind(model.body, kind, layer, head, kinds_of(model.body)[0])
    tokens = _tokens_to_go_on(task, text).to(next(model.parameters()).device)
    found = next_token(model, tokens)
    shown = [names[token] for token in tokens.tolist()]
    answer = names[found.token] if found.token < len(names) else f"token {found.token}"
    if chosen == "inputs":
        caption = f"Which tokens speak for '{answer}' to come next (orange), and which against it (blue)."
        measures = {f"gradient × input, for '{answer}' to come next": found.gradient}
        return answer, [Sight("inputs", caption, draw_listening(shown, measures))]
    with torch.no_grad():
        values = model.embedding(tokens[None]) * model.scale
    return answer, sights(model.body, values, shown, chosen, layer, head)


def _tokens_to_go_on(task: Language, text: str) -> Tensor:
    """The tokens of a text for a language model, ``(T,)``."""
    refuse_surrogates(text)
    if not text:
        raise InputError("an empty text has nothing to look at; give one with a character at least")
    unknown = task.tokenizer.unknown_in(text)
    if unknown:
        raise InputError(f"the text '{excerpt(text)}' has {quoted(unknown)}, which this model never saw; leave it out")
    tokens, context = torch.from_numpy(task.tokenizer.encode(text)), task.model.context
    if context is not None and len(tokens) > context:
        raise InputError(f"the text '{excerpt(text)}' has {len(tokens)} tokens, and this model sees {context} at once; "
                         "give a shorter one")  # fmt: skip
    _check_length(len(tokens))
    return tokens


def _translator(task: Translate, text: str, layer: int | None, head: int | None, kind: str | None) -> _Found:
    if kind not in (None, "attention"):
        raise InputError(f"a translator has no {kind} to look at; what there is to see: its attention")
    network, text = task.network.eval(), text.strip()
    tokens = task.encode([text]).row(0)
    _check_length(len(tokens))
    number = chosen_number("layer", layer, network.form.layers)
    seen = look_while_translating(task, text, number)
    _check_length(len(seen.rows))
    where = f"layer {number} of the decoder"
    found = heads_sights(seen.weights, seen.rows, seen.columns, head, "cross-attention", where, number)
    if layer is not None or head is not None:
        with torch.no_grad():
            values = network.source(tokens[None].to(network.source.weight.device)) * math.sqrt(network.form.width)
            weights = network.encoder.weights(values, number)[0].cpu()
        where = f"layer {number} of the encoder"
        found += heads_sights(weights, seen.columns, seen.columns, head, "encoder-attention", where, number)
    return task.predict([text])[0], found


def _tagger(sequences: Sequences, inputs: Tensor, layer: int | None, head: int | None, kind: str | None) -> _Found:
    """What a tagger made of tokens ``(T,)`` or numbers ``(T, F)``."""
    _check_length(len(inputs))
    task, tokenizer = sequences.task.eval(), sequences.tokenizer
    inputs = inputs.to(next(task.parameters()).device)
    names = [str(step) for step in range(len(inputs))] if tokenizer is None else _named(tokenizer, inputs)
    body, values, read = _what_is_read(task.tagger, inputs, names)
    chosen = chosen_kind(body, kind, layer, head, "inputs")
    answer = _answer(task, inputs)
    found = _listened(task, inputs, names, answer) if chosen == "inputs" else []
    unasked = kind is None and isinstance(body, Transformer)
    if chosen != "inputs" or unasked:
        found += sights(body, values, read, "attention" if unasked else chosen, layer, head)
    return answer, found


@torch.no_grad()
def _what_is_read(tagger: Tagger, inputs: Tensor, names: Sequence[str]) -> tuple[nn.Module, Tensor, Sequence[str]]:
    """A tagger's body, the vectors ``(1, T, F)`` that it reads, and what they are called."""
    encoder, values = tagger.encoder, tagger.embed(inputs[None])
    if isinstance(encoder, Framed):
        return encoder.encoder.body, encoder.framed(values, None)[0], ["[CLS]", *names, "[SEP]"]
    assert isinstance(encoder, Reader)
    return encoder.body, encoder.first(values) if isinstance(encoder.first, nn.Linear) else values, names


def _named(tokenizer: Tokenizer, tokens: Tensor) -> list[str]:
    return [tokenizer.names[token] for token in tokens.tolist()]


def _answer(task: Tag, inputs: Tensor) -> str:
    answer = task.predict(inputs[None])[0]
    if task.answer == "number":
        return f"{float(answer):.4g}"
    return " ".join(task.classes[number] for number in answer.argmax(-1).flatten().tolist())


def _listened(task: Tag, inputs: Tensor, names: Sequence[str], answer: str) -> list[Sight]:
    if task.answer == "tokens":
        return [_each_answer(task, inputs, names)]
    heard = listen(task.tagger, inputs, 0 if task.answer == "number" else None)
    measures = {"gradient × input": heard.gradient, "occlusion: what is lost without it": heard.occlusion}
    caption = f"Which steps speak for the answer {answer} (orange), and which against it (blue)."
    if inputs.is_floating_point():
        return [Sight("inputs", caption, draw_listening_numbers(inputs, measures))]
    return [Sight("inputs", caption, draw_listening(names, measures))]


def _each_answer(task: Tag, inputs: Tensor, names: Sequence[str]) -> Sight:
    """A map: a row for each of several answers, and how much of its gradient times input is each step's."""
    numbers = task.predict(inputs[None])[0].argmax(-1).tolist()
    rows = []
    for step, number in enumerate(numbers):
        sizes = gradient_times_input(task.tagger, inputs, number, step).abs()
        rows.append(sizes / sizes.sum().clamp_min(1e-30))
    png = draw_attention(torch.stack(rows), [task.classes[number] for number in numbers], names, "gradient × input")
    return Sight("inputs", "Each row is an answer, each column a step: its share of the size of gradient × input.", png)


def _check_length(steps: int) -> None:
    if steps > _MOST:
        raise InputError(f"a sequence of {steps} steps is too long to be drawn; at most {_MOST}")
