import pytest
import torch

from pendio.descent.classes import per_class


def test_a_class_never_predicted_and_one_never_seen_count_as_zero():
    rows = per_class(torch.tensor([[3, 1, 0], [0, 0, 0], [2, 0, 0]]))
    assert rows[0] == {"precision": 0.6, "recall": 0.75, "f1": pytest.approx(2 / 3), "examples": 4}
    assert rows[1] == {"precision": 0, "recall": 0, "f1": 0, "examples": 0}
    assert rows[2] == {"precision": 0, "recall": 0, "f1": 0, "examples": 2}


def test_measures_by_class():
    rows = per_class(torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert rows[0] == {"precision": 1.0, "recall": 0.75, "f1": pytest.approx(6 / 7), "examples": 4}
    assert rows[1] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "examples": 2}
    assert rows[2] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "examples": 0}
