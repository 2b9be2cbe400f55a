import pytest
import torch

from pendio.errors import InputError
from pendio.neurons.gates import NAND, SQUARE, circuit


def test_nand_fires_unless_both_do():
    assert NAND(SQUARE).tolist() == [True, True, True, False]


def test_adders_of_five_inputs_are_built():
    rows = torch.tensor([[number >> shift & 1 for shift in range(4, -1, -1)] for number in range(32)])
    majority = [bin(number).count("1") >= 3 for number in range(32)]
    made = circuit(majority)
    assert made(rows).tolist() == majority
    assert len(made.gates) < 40, "equal halves share their gates"
    assert all(max(pair) < 5 + place for place, pair in enumerate(made.gates)), "no gate may need a later one"


@pytest.mark.parametrize(
    ("truth", "gates"),
    [((1, 1, 1, 0), 1), ((0, 0, 0, 1), 2), ((0, 1, 1, 1), 3), ((0, 1, 1, 0), 5), ((0, 0, 1, 1), 0), ((1, 0, 1, 0), 1)],
)
def test_no_gate_is_spent_on_what_is_known(truth, gates):
    made = circuit(truth)
    assert made(SQUARE).tolist() == [bool(answer) for answer in truth]
    assert len(made.gates) == gates


def test_constants_and_single_inputs_are_tables_too():
    rows = torch.tensor([[0], [1]])
    for truth in ([False, False], [True, True], [False, True], [True, False]):
        assert circuit(truth)(rows).tolist() == truth


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_other_numbers_of_answers_are_refused(count):
    with pytest.raises(InputError, match="a truth table has 2, 4, 8"):
        circuit([True] * count)
