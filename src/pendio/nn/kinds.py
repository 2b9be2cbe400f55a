"""The words by which layers are chosen, apart from the layers: the command line reads them before torch is loaded."""

from typing import Literal

__all__ = ["Activation", "Initial", "Recurrence", "Score"]

Score = Literal["dot", "scaled", "cosine", "additive"]
"""How well a key fits a query: their product, that over √d_k, their cosine, or a small network's opinion."""

Activation = Literal["relu", "gelu", "gelu-tanh"]
"""Of a Transformer's dense networks: ReLU, x·Φ(x), or the tanh approximation of that which GPT-2 uses."""

Recurrence = Literal["rnn", "lstm"]

Initial = Literal["zero", "sampled", "learned"]
"""What a hidden state is before the first step: 0; drawn anew for each sequence while training; or learned."""
