"""What there is to see in a body of any family, and pictures of it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from pendio.errors import InputError, did_you_mean
from pendio.nn.recurrent import Recurrent
from pendio.nn.temporal import Temporal
from pendio.nn.transformer import Transformer
from pendio.pictures.attention import draw_attention, draw_heads
from pendio.pictures.gates import Units, draw_units
from pendio.sequences.looking.states import hidden_states, ordered_units

__all__ = ["KINDS", "Kind", "Sight", "chosen_kind", "chosen_number", "heads_sights", "kinds_of", "sights"]

Kind = Literal["attention", "gates", "hidden", "inputs"]
"""Where it attends, an LSTM's gates, hidden states, or which inputs an output depends on."""

KINDS: tuple[Kind, ...] = get_args(Kind)

_UNITS = 32
"""Units that are drawn: those that move most."""

_ACROSS = 4


class Sight(NamedTuple):
    """A picture, its name and a line on what it shows."""

    name: str
    caption: str
    png: bytes


def kinds_of(body: nn.Module) -> tuple[Kind, ...]:
    """What can be seen in a body, the most telling first."""
    if isinstance(body, Transformer):
        return ("attention", "inputs")
    if isinstance(body, Recurrent):
        return ("gates", "hidden", "inputs") if body.kind == "lstm" else ("hidden", "inputs")
    return ("inputs",)


def chosen_kind(body: nn.Module, asked: str | None, layer: int | None, head: int | None, usual: Kind) -> Kind:
    """What to look at.

    Args:
        body: in which.
        asked: what the user asked for, or None.
        layer, head: where, or None.
        usual: what to look at unasked; naming a layer or head asks for what has layers.

    Raises:
        InputError: there is no such thing in this body.
    """
    there, family = kinds_of(body), _family(body)
    if asked is not None and asked not in KINDS:
        raise InputError(f"there is no '{asked}' to look at: {', '.join(KINDS)}; {did_you_mean(asked, KINDS)}")
    if head is not None and "attention" not in there:
        raise InputError(f"--head {head}: {family} has no attention; what there is to see: {_listed(there)}")
    if layer is not None and there == ("inputs",):
        raise InputError(f"--layer {layer}: {family} has neither attention nor states; what there is to see: the "
                         "inputs it depends on")  # fmt: skip
    kind = next((one for one in KINDS if one == asked), usual if layer is None and head is None else there[0])
    if kind not in there:
        raise InputError(f"{family} has no {kind}; what there is to see: {_listed(there)}")
    if kind == "inputs" and (layer is not None or head is not None):
        raise InputError("--layer and --head are of no use for inputs: an answer depends on them through all layers")
    return kind


def chosen_number(name: str, asked: int | None, count: int) -> int:
    """The number of a layer or head; the last where none is asked for. Negative ones count from the last.

    Raises:
        InputError: there is none of this number.
    """
    number = -1 if asked is None else asked
    if not -count <= number < count:
        there = f"0 to {count - 1}" if count > 1 else "0 alone"
        raise InputError(f"--{name} {number}: there is no such {name}; there is {there}")
    return range(count)[number]


@torch.no_grad()
def sights(
    body: nn.Module,
    values: Tensor,
    names: Sequence[str],
    kind: Kind,
    layer: int | None = None,
    head: int | None = None,
) -> list[Sight]:
    """Pictures of attention, gates or hidden states in one layer, which are computed anew.

    Args:
        body: in evaluation mode.
        values: what it reads, ``(1, T, inputs)``.
        names: of the T steps.
        kind: one of :func:`kinds_of`, other than "inputs".
        layer: by default the last.
        head: of attention; by default all, and their mean.

    Raises:
        InputError: there is no such layer or head.
    """
    if isinstance(body, Transformer):
        number = chosen_number("layer", layer, body.form.layers)
        weights = body.weights(values, number)[0]
        return heads_sights(weights, names, names, head, "attention", f"layer {number}", number)
    assert isinstance(body, Recurrent)
    number = chosen_number("layer", layer, body.network.num_layers)
    return [_gates(body, values, names, number) if kind == "gates" else _hidden(body, values, names, number)]


def heads_sights(
    weights: Tensor, rows: Sequence[str], columns: Sequence[str], head: int | None, name: str, where: str, layer: int
) -> list[Sight]:
    """Pictures of attention: of one head, or of all of them and of their mean.

    Args:
        weights: ``(heads, T, S)``.
        rows, columns: names of the steps that look, and of those that are looked at.
        head: its number; None for all.
        name: that pictures begin with.
        where: what a caption calls the layer.
        layer: its number.

    Raises:
        InputError: there is no such head.
    """
    stem, looks = f"{name}-layer-{layer}", "each row is a token that looks, each column one that is looked at"
    if head is not None:
        number = chosen_number("head", head, len(weights))
        png = draw_attention(weights[number], rows, columns, f"{where}, head {number}")
        return [Sight(f"{stem}-head-{number}", f"Attention of head {number} of {where}: {looks}.", png)]
    mean = draw_attention(weights.mean(0), rows, columns, f"{where}, mean over heads")
    if len(weights) == 1:
        return [Sight(stem, f"Attention of {where}: {looks}.", mean)]
    across = _ACROSS if len(weights) > 4 else 2
    return [
        Sight(stem, f"Attention of all heads of {where}: {looks}.", draw_heads(weights, rows, columns, across=across)),
        Sight(f"{stem}-mean", f"Attention of {where}, mean over its heads: {looks}.", mean),
    ]


def _gates(body: Recurrent, values: Tensor, names: Sequence[str], layer: int) -> Sight:
    gates = body.gates(values, layer)
    chosen = ordered_units(gates.cell[0], _UNITS)
    maps = [
        Units(name, getattr(gates, name)[0][:, chosen], name in ("candidate", "cell"))
        for name in ("forget", "input", "candidate", "output", "cell")
    ]
    caption = f"Gates and cell of {_shown(chosen, body, layer)}, a row each; those that move alike stand together."
    return Sight(f"gates-layer-{layer}", caption, draw_units(maps, names))


def _hidden(body: Recurrent, values: Tensor, names: Sequence[str], layer: int) -> Sight:
    hidden = hidden_states(body, values, layer)[0]
    chosen = ordered_units(hidden, _UNITS)
    caption = f"Hidden states of {_shown(chosen, body, layer)}, a row each; those that move alike stand together."
    return Sight(f"hidden-layer-{layer}", caption, draw_units([Units("hidden", hidden[:, chosen], True)], names))


def _shown(chosen: Tensor, body: Recurrent, layer: int) -> str:
    count = len(chosen)
    if count == body.width:
        return f"all {count} units of layer {layer}"
    return f"those {count} of the {body.width} units of layer {layer} that move most"


def _family(body: nn.Module) -> str:
    if isinstance(body, Recurrent):
        return f"an {body.kind}"
    return "a Transformer" if isinstance(body, Transformer) else "a tcn" if isinstance(body, Temporal) else "a window"


_NAMES = {
    "attention": "its attention", "gates": "its gates", "hidden": "its hidden states", "inputs": "the inputs it depends on",
}  # fmt: skip


def _listed(kinds: Sequence[Kind]) -> str:
    names = [_NAMES[kind] for kind in kinds]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
