import pytest
import torch

from pendio.errors import InputError
from pendio.neurons.perceptron import learn, prove


def test_learning_stops_at_a_plane_that_separates():
    points = torch.tensor([[0.0, 2.0], [1.0, 3.0], [2.0, 0.0], [3.0, 1.0]])
    labels = torch.tensor([1, 1, 0, 0])
    learned = learn(points, labels)
    assert learned.perceptron(points).tolist() == [True, True, False, False]
    assert learned.mistakes <= prove(points, labels).bound


def test_one_class_alone_needs_no_plane_but_a_threshold():
    points = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    assert learn(points, torch.ones(10)).perceptron(points).all()
    assert not learn(points, torch.zeros(10)).perceptron(points).any()


def test_equal_points_of_different_classes_cannot_be_separated():
    with pytest.raises(InputError, match="no hyperplane separates these two classes"):
        learn(torch.ones(2, 2), torch.tensor([0, 1]))


def test_the_margin_is_that_of_the_nearest_points_however_many_lie_behind():
    """Mirror images about the origin in the plane: the bias gains nothing, so that γ is their distance to the axis."""
    points = torch.tensor([[1.0, 5.0], [1.0, -5.0], [-1.0, 5.0], [-1.0, -5.0], [9.0, 0.0], [-7.0, 0.0]])
    proof = prove(points, points[:, 0] > 0)
    assert proof.margin == pytest.approx(1, abs=1e-6)
    assert proof.radius == pytest.approx(82**0.5)


def test_what_is_no_table_of_numbers_is_refused():
    with pytest.raises(InputError, match=r"takes inputs \(N, F\) and labels \(N,\)"):
        learn(torch.zeros(3), torch.zeros(3))
    with pytest.raises(InputError, match="finite"):
        learn(torch.tensor([[float("nan")], [1.0]]), torch.tensor([0, 1]))


def test_the_command_teaches_gates_and_proves_that_xor_cannot_be(cli):
    assert "11 mistakes" in cli("perceptron", "nand").out
    result = cli("perceptron", "xor")
    assert result.code == 2
    assert "no hyperplane separates" in result.err
    assert "two classes of points" in cli("perceptron", "digits").err
