"""Networks of NAND perceptrons: any truth table from one kind of neuron."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.neurons.perceptron import Perceptron

__all__ = ["GATES", "NAND", "SQUARE", "Circuit", "circuit"]

SQUARE = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""The corners on which gates of two inputs are defined."""

GATES = {"and": (0, 0, 0, 1), "or": (0, 1, 1, 1), "nand": (1, 1, 1, 0), "xor": (0, 1, 1, 0)}
"""Name → answer on each corner."""

NAND = Perceptron(torch.tensor([-2.0, -2.0]), 3.0)
"""Fires unless both inputs do: 3 − 2a − 2b > 0."""


@dataclass(frozen=True)
class Circuit:
    """Perceptrons whose inputs are earlier values.

    Attributes:
        inputs: number of inputs, the first values.
        gates: of each gate, the two earlier values it joins by NAND.
        output: which value is the answer.
    """

    inputs: int
    gates: tuple[tuple[int, int], ...]
    output: int

    def __call__(self, inputs: Tensor) -> Tensor:
        """``(N,)`` booleans for 0/1 inputs ``(N, inputs)``, computed by :data:`NAND` alone."""
        values = list(inputs.float().unbind(1))
        for first, second in self.gates:
            values.append(NAND(torch.stack([values[first], values[second]], 1)).float())
        return values[self.output].bool()


_FALSE, _TRUE = -2, -1
"""Values known without a gate."""


class _Builder:
    """Gates as they are asked for, each once, and none for what is known already."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.gates: list[tuple[int, int]] = []
        self._known: dict[tuple[int, int], int] = {}

    def nand(self, first: int, second: int) -> int:
        """The signal not(first and second): a new gate unless a constant or an older gate already gives it."""
        pair = (min(first, second), max(first, second))
        if _FALSE in pair:
            return _TRUE
        if pair == (_TRUE, _TRUE):
            return _FALSE
        if pair[0] == _TRUE:
            pair = (pair[1], pair[1])
        if pair[0] == pair[1] >= self.inputs:
            inner = self.gates[pair[0] - self.inputs]
            if inner[0] == inner[1]:
                return inner[0]
        if pair not in self._known:
            self._known[pair] = self.inputs + len(self.gates)
            self.gates.append(pair)
        return self._known[pair]

    def negate(self, value: int) -> int:
        return self.nand(value, value)

    def choose(self, condition: int, then: int, otherwise: int) -> int:
        """``then`` where ``condition``, else ``otherwise``: NAND of the two branches' NANDs."""
        if otherwise == _TRUE:
            return self.nand(condition, self.negate(then))
        return self.nand(self.nand(condition, then), self.nand(self.negate(condition), otherwise))

    def finish(self, output: int) -> Circuit:
        """The circuit that answers ``output``, of the gates it needs."""
        if output < 0:
            true = self.nand(0, self.negate(0))
            output = true if output == _TRUE else self.negate(true)
        needed = {output}
        for place in reversed(range(len(self.gates))):
            if self.inputs + place in needed:
                needed.update(self.gates[place])
        kept = [value for value in range(self.inputs + len(self.gates)) if value < self.inputs or value in needed]
        number = {value: place for place, value in enumerate(kept)}
        gates = [self.gates[value - self.inputs] for value in kept[self.inputs :]]
        return Circuit(self.inputs, tuple((number[first], number[second]) for first, second in gates), number[output])


def circuit(truth: Sequence[bool]) -> Circuit:
    """A network of NAND perceptrons for a truth table.

    Splits the table on its first input and chooses between the halves (Shannon, 1949); equal tables share their gates.

    Args:
        truth: 2ⁿ answers, n ≥ 1, for inputs counted up in binary, the first input the highest digit.

    Raises:
        InputError: the number of answers is no power of two above 1.
    """
    count = len(truth).bit_length() - 1
    if count < 1 or len(truth) != 1 << count:
        raise InputError(f"a truth table has 2, 4, 8, … answers, got {len(truth)}")
    builder = _Builder(count)
    made: dict[tuple[bool, ...], int] = {}

    def build(table: tuple[bool, ...], first: int) -> int:
        if len(set(table)) == 1:
            return _TRUE if table[0] else _FALSE
        if table not in made:
            half = len(table) // 2
            low, high = build(table[:half], first + 1), build(table[half:], first + 1)
            made[table] = low if table[:half] == table[half:] else builder.choose(first, high, low)
        return made[table]

    return builder.finish(build(tuple(bool(answer) for answer in truth), 0))
