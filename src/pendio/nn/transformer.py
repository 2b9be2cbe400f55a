"""The Transformer (Vaswani et al., 2017): layers of attention and dense networks, as encoder and as decoder."""

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.nn.attention import CrossAttention, SelfAttention
from pendio.nn.cache import KeyValues, LayerCache
from pendio.nn.dropout import Dropout
from pendio.nn.kinds import Activation, Score
from pendio.nn.masks import packed_mask, padding_mask
from pendio.nn.positions import Positions, Rotary

__all__ = ["Form", "Source", "Transformer", "TransformerLayer"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a Transformer is built.

    Attributes:
        width: of the sequence between the layers.
        heads: of each attention.
        layers: how many.
        hidden: units of the dense networks; by default ``4 · width``.
        length: places there are.
        positions: how places are told: by adding a vector to the inputs, or by turning queries and keys.
        norm: whether a branch normalises its input ("pre") or the sum after it ("post", as in the paper).
        norm_inputs: whether the inputs are normalised before the first layer, as BERT's are.
        activation: of the dense networks.
        score: how well a key fits a query.
        key_width, value_width: of one head; by default ``width / heads``.
        dropout: probability of dropping an activation of the inputs and of each branch; attention drops no keys, for then
            its weights would have to be held.
        bias: whether the projections have biases.
        eps: of the normalisations.
    """

    width: int
    heads: int
    layers: int
    length: int
    hidden: int | None = None
    positions: Literal["sinusoidal", "learned", "rotary"] = "learned"
    norm: Literal["pre", "post"] = "pre"
    norm_inputs: bool = False
    activation: Activation = "gelu"
    score: Score = "scaled"
    key_width: int | None = None
    value_width: int | None = None
    dropout: float = 0.0
    bias: bool = True
    eps: float = 1e-5


@dataclass(frozen=True)
class Source:
    """A sequence to be asked by cross-attention.

    Attributes:
        read: the keys and values that each layer makes of it.
        allowed: ``(N, 1, 1, S)`` which of its positions are no padding; None where all are not.
    """

    read: list[tuple[Tensor, Tensor]]
    allowed: Tensor | None = None

    def select(self, rows: Tensor) -> "Source":
        """The same of other rows, as :meth:`pendio.nn.cache.State.select`."""
        read = [(keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.read]
        return Source(read, None if self.allowed is None else self.allowed.index_select(0, rows))


class Feedforward(nn.Module):
    """The same dense network at every place: x ↦ W₂ f(W₁x)."""

    def __init__(self, width: int, hidden: int, activation: Activation, bias: bool) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=bias)
        self.down = nn.Linear(hidden, width, bias=bias)
        self.activation = activation

    def forward(self, values: Tensor) -> Tensor:
        """``(…, width)`` as they came."""
        out: Tensor = self.down(self.activate(self.up(values)))
        return out

    def activate(self, hidden: Tensor) -> Tensor:
        """f, at each number."""
        if self.activation == "relu":
            return F.relu(hidden)
        return F.gelu(hidden, approximate="tanh" if self.activation == "gelu-tanh" else "none")


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention where there is a source, and a dense network, each a residual branch.

    Args:
        form: of the Transformer it belongs to.
        crossing: whether it asks a source too.
        rotary: turns queries and keys.
    """

    def __init__(self, form: Form, crossing: bool = False, rotary: Rotary | None = None) -> None:
        super().__init__()
        self.norm_first = form.norm == "pre"
        self.attention = SelfAttention(
            form.width, form.heads, key_width=form.key_width, value_width=form.value_width, score=form.score,
            bias=form.bias, rotary=rotary,
        )  # fmt: skip
        self.attention_norm = nn.LayerNorm(form.width, form.eps, bias=form.bias)
        self.crossing: CrossAttention | None = None
        if crossing:
            self.crossing = CrossAttention(
                form.width, form.heads, key_width=form.key_width, value_width=form.value_width, score=form.score,
                bias=form.bias,
            )  # fmt: skip
            self.crossing_norm = nn.LayerNorm(form.width, form.eps, bias=form.bias)
        self.feedforward = Feedforward(form.width, form.hidden or 4 * form.width, form.activation, form.bias)
        self.feedforward_norm = nn.LayerNorm(form.width, form.eps, bias=form.bias)
        self.dropout = Dropout(form.dropout)

    def forward(
        self,
        values: Tensor,
        allowed: Tensor | None = None,
        *,
        causal: bool = False,
        places: Tensor | None = None,
        cache: LayerCache | None = None,
        source: tuple[Tensor, Tensor] | None = None,
        source_allowed: Tensor | None = None,
    ) -> Tensor:
        """``(N, T, width)`` as they came; what the arguments mean is said at :class:`SelfAttention`."""
        seen = self.attention_norm(values) if self.norm_first else values
        branch = self.attention(seen, allowed, causal=causal, places=places, cache=cache)
        values = self._added(values, branch, self.attention_norm)
        if self.crossing is not None and source is not None:
            seen = self.crossing_norm(values) if self.norm_first else values
            values = self._added(values, self.crossing(seen, source, source_allowed), self.crossing_norm)
        seen = self.feedforward_norm(values) if self.norm_first else values
        return self._added(values, self.feedforward(seen), self.feedforward_norm)

    def _added(self, values: Tensor, branch: Tensor, norm: nn.Module) -> Tensor:
        # A call that drops nothing would still be a call, at every token that is written.
        total: Tensor = values + (self.dropout(branch) if self.training else branch)
        return total if self.norm_first else cast(Tensor, norm(total))


class Transformer(nn.Module):
    """A stack of layers that reads embedded sequences: an encoder, or with ``causal`` a decoder.

    Args:
        form: how it is built.
        causal: whether no position looks ahead.
        crossing: whether it asks a source too, as the decoder of a translator does.
    """

    carries = False

    def __init__(self, form: Form, *, causal: bool, crossing: bool = False) -> None:
        super().__init__()
        self.form, self.causal = form, causal
        self.width = form.width
        self.reach: int | None = form.length
        rotary = None
        self.positions: Positions | None = None
        if form.positions == "rotary":
            rotary = Rotary(form.length, form.key_width or form.width // form.heads)
        else:
            self.positions = Positions(form.positions, form.length, form.width)
        self.norm_inputs = nn.LayerNorm(form.width, form.eps) if form.norm_inputs else nn.Identity()
        self.dropout = Dropout(form.dropout)
        self.layers = nn.ModuleList(TransformerLayer(form, crossing, rotary) for _ in range(form.layers))
        self.norm = nn.LayerNorm(form.width, form.eps, bias=form.bias) if form.norm == "pre" else nn.Identity()
        self._initialize()

    def _initialize(self) -> None:
        """Glorot's weights; where the sum is never normalised, branches so much smaller that it does not grow with depth."""
        for layer in self.layers:
            for module in layer.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
            if self.form.norm == "pre":
                for name, weight in layer.named_parameters():
                    if name.endswith(("join.weight", "down.weight")):
                        with torch.no_grad():
                            weight.mul_(1 / math.sqrt(2 * self.form.layers))

    def begin(self, rows: int, capacity: int | None = None, present: Tensor | None = None) -> KeyValues:
        """Empty caches for ``rows`` sequences of up to ``capacity`` tokens.

        Args:
            rows: how many sequences.
            capacity: by default as many as there are places.
            present: ``(rows, T)`` of the first T tokens, false where they are padding on the left.
        """
        capacity = capacity or self.form.length
        one = next(self.parameters())
        caches = []
        for layer in self.layers:
            attention = cast(TransformerLayer, layer).attention
            keys = one.new_empty(rows, self.form.heads, capacity, attention.key_width)
            caches.append(LayerCache(keys, one.new_empty(rows, self.form.heads, capacity, attention.value_width)))
        if present is not None and not bool(present.all()):
            later = present.new_ones(rows, capacity - present.shape[1])
            return KeyValues(caches, torch.cat([present, later], 1))
        return KeyValues(caches)

    def read(self, source: Tensor, present: Tensor | None = None) -> Source:
        """What all layers make of a source ``(N, S, width)``, to be asked again and again."""
        read = [layer.crossing.read(source) for layer in self.layers]  # type: ignore[union-attr, operator]
        return Source(read, None if present is None else padding_mask(present))

    def inputs(self, values: Tensor, places: Tensor) -> Tensor:
        """What the first layer reads: ``values (N, T, width)`` and where they stand."""
        if self.positions is not None:
            values = values + self.positions(places)
        out: Tensor = self.dropout(self.norm_inputs(values))
        return out

    def forward(
        self,
        values: Tensor,
        state: KeyValues | None = None,
        present: Tensor | None = None,
        documents: Tensor | None = None,
        source: Source | None = None,
    ) -> tuple[Tensor, KeyValues | None]:
        """Features ``(N, T, width)``, and the state, which has taken them in.

        Args:
            values: embedded tokens ``(N, T, width)``.
            state: what was read before; None where nothing was and nothing shall be kept.
            present: ``(N, T)`` false where tokens are padding; a causal stack needs not know of padding on the right.
            documents: ``(N, T)`` where several sequences are packed into a row: the number of each token's.
            source: what cross-attention asks.
        """
        places, allowed = self._surroundings(values, state, present, documents)
        values = self.inputs(values, places)
        for number, layer in enumerate(self.layers):
            values = layer(
                values, allowed, causal=self.causal, places=places,
                cache=None if state is None else state.layers[number],
                source=None if source is None else source.read[number],
                source_allowed=None if source is None else source.allowed,
            )  # fmt: skip
        return self.norm(values), state

    def _surroundings(
        self, values: Tensor, state: KeyValues | None, present: Tensor | None, documents: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Where the tokens stand, and whom they may look at beside the order."""
        length = values.shape[1]
        if state is not None:
            places = state.places(length)
            if state.present is None:
                return places, None
            seen = state.present[:, None, None, : state.length + length]
            # Padding looks at itself, for it must look at something.
            own = torch.eye(length, dtype=torch.bool, device=values.device)
            return places, seen | F.pad(own, (state.length, 0))
        places = torch.arange(length, device=values.device)
        if documents is not None:
            return _restarted(documents), packed_mask(documents)
        if present is None:
            return places, None
        own = torch.eye(length, dtype=torch.bool, device=values.device)
        return places, padding_mask(present) | own if self.causal else padding_mask(present)

    def weights(
        self, values: Tensor, layer: int, present: Tensor | None = None, source: Source | None = None
    ) -> Tensor:  # fmt: skip
        """How a layer's heads look: ``(N, heads, T, T)`` at the sequence itself, or with a source ``(N, heads, T, S)``.

        Only what is asked for is computed anew; nothing is kept while training.

        Args:
            values: embedded tokens ``(N, T, width)``.
            layer: its number, from 0 on.
            present, source: as for :meth:`forward`.
        """
        places, allowed = self._surroundings(values, None, present, None)
        values = self.inputs(values, places)
        asked = None if source is None else source.allowed
        for number in range(layer):
            one = None if source is None else source.read[number]
            values = self.layers[number](
                values, allowed, causal=self.causal, places=places, source=one, source_allowed=asked
            )
        chosen = cast(TransformerLayer, self.layers[layer])
        seen = chosen.attention_norm(values) if chosen.norm_first else values
        if source is None or chosen.crossing is None:
            return chosen.attention.weights(seen, allowed, causal=self.causal, places=places)
        branch = chosen.attention(seen, allowed, causal=self.causal, places=places)
        values = chosen._added(values, branch, chosen.attention_norm)
        seen = chosen.crossing_norm(values) if chosen.norm_first else values
        return chosen.crossing.weights(seen, source.read[layer], asked)


def _restarted(documents: Tensor) -> Tensor:
    """Places that begin anew where the number of the document changes: ``(N, T)``."""
    index = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    new = F.pad(documents[:, 1:] != documents[:, :-1], (1, 0), value=True)
    return index - torch.where(new, index, 0).cummax(1).values
