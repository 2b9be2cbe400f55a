import pytest
import torch

from pendio.errors import InputError
from pendio.generation.quality import kernel
from pendio.generation.quality.kernel import kernel_distance


def points(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_gaussians_are_apart_by_what_the_kernel_expects():
    # (xy + 1)³ compares the means of √3·x, √3·x² and x³: of a Gaussian shifted by m they change by √3·m, √3·m² and m³ + 3m.
    real, made = points(0, 4000, 1), points(1, 4000, 1) + 0.5
    expected = 3 * 0.5**2 + 3 * 0.5**4 + (0.5**3 + 3 * 0.5) ** 2
    found = kernel_distance(real, made)
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.5


def test_equal_distributions_give_zero_on_average_and_negative_values_too():
    values = torch.tensor([kernel_distance(points(2 * s, 20, 3), points(2 * s + 1, 20, 3)).value for s in range(300)])
    assert (values < 0).any()
    assert abs(values.mean()) < 4 * values.std() / 300**0.5


def test_the_error_is_the_spread_of_the_estimate():
    found = [kernel_distance(points(2 * s, 60, 2), points(2 * s + 1, 80, 2) + 1) for s in range(200)]
    spread = torch.tensor([one.value for one in found]).std()
    assert torch.tensor([one.error for one in found]).mean() == pytest.approx(float(spread), rel=0.2)


def test_chunks_do_not_change_it(monkeypatch):
    real, made = points(0, 50, 4), points(1, 30, 4)
    whole = kernel_distance(real, made)
    monkeypatch.setattr(kernel, "_CHUNK", 7)
    assert kernel_distance(real, made) == pytest.approx(whole, rel=1e-12)


def test_of_many_examples_subsets_are_taken_and_agree():
    real, made = points(0, 900, 4), points(1, 800, 4) + 0.3
    whole, parts = kernel_distance(real, made), kernel_distance(real, made, subsets=40, size=60)
    assert parts.value != whole.value
    assert abs(parts.value - whole.value) < 5 * (parts.error + whole.error)
    assert parts == kernel_distance(real, made, subsets=40, size=60)
    assert parts != kernel_distance(real, made, subsets=40, size=60, seed=1)


@pytest.mark.parametrize(("real", "made", "message"), [
    (points(0, 1, 4), points(1, 9, 4), "too few examples: 1"),
    (points(0, 9, 4), points(1, 9, 5), "of 4 and of 5 dimensions"),
    (points(0, 9, 4), points(1, 9, 4) / 0, "not finite"),
    (points(0, 9), points(1, 9, 4), "expected (N, D)"),
])  # fmt: skip
def test_what_cannot_be_compared_is_named(real, made, message):
    with pytest.raises(InputError) as error:
        kernel_distance(real, made)
    assert message in str(error.value)


def test_subsets_must_be_of_two_at_least():
    with pytest.raises(InputError, match="size at least 2"):
        kernel_distance(points(0, 9, 4), points(1, 9, 4), size=1)
