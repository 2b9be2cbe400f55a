import numpy as np
import pytest
import scipy.linalg
import torch

from pendio.errors import InputError
from pendio.generation.quality.frechet import Moments, frechet_distance


def points(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_scipy(left, right):
    """The definition, by a square root of the product of both covariances."""
    covariances = [np.cov(side.numpy(), rowvar=False) for side in (left, right)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    means = np.square((left.mean(0) - right.mean(0)).numpy()).sum()
    return means + np.trace(covariances[0] + covariances[1] - 2 * root.real)


def distance(left, right):
    return frechet_distance(Moments.of(left), Moments.of(right))


def test_it_is_that_of_the_definition():
    left, right = points(0, 200, 30) @ points(1, 30, 30), points(2, 150, 30) + 0.3
    assert distance(left, right) == pytest.approx(by_scipy(left, right), abs=1e-8)


@pytest.mark.parametrize("counts", [(10, 8), (100, 8), (8, 100)])
def test_few_examples_are_measured_as_by_their_singular_covariances(counts):
    left, right = points(0, counts[0], 20), points(1, counts[1], 20) + 1
    covariances = [side.T.cov() for side in (left, right)]
    singular = frechet_distance(*(Moments.given(s.mean(0), c) for s, c in zip((left, right), covariances, strict=True)))
    assert distance(left, right) == pytest.approx(singular, rel=1e-10)


def test_features_that_never_change_cost_nothing():
    left, right = points(0, 200, 6), points(1, 200, 6) + 1
    padded = [torch.cat([side, torch.full((200, 3), 7.0)], 1) for side in (left, right)]
    assert distance(*padded) == pytest.approx(distance(left, right), abs=1e-10)


def test_a_shift_costs_its_square_and_a_spread_its_difference():
    features = points(0, 500, 5)
    center = features - features.mean(0)
    assert distance(center, center + 3) == pytest.approx(5 * 9, abs=1e-9)
    assert distance(center, 3 * center) == pytest.approx(4 * float(center.T.cov().trace()), abs=1e-9)


def test_of_few_examples_it_is_too_large_by_what_is_said():
    found = [distance(points(2 * s, 1000, 10), points(2 * s + 1, 500, 10)) for s in range(40)]
    assert sum(found) / 40 == pytest.approx((10**2 + 5 * 10) / 4 * (1 / 1000 + 1 / 500), rel=0.1)


def test_equal_sets_are_not_apart_and_order_does_not_matter():
    left, right = points(0, 80, 12), points(1, 60, 12)
    assert 0 <= distance(left, left) < 1e-10
    assert distance(left, right) == pytest.approx(distance(right, left), rel=1e-12)
    assert distance(left, left[torch.randperm(80)]) < 1e-10


def test_batches_of_any_size_give_what_all_at_once_do():
    features = points(0, 333, 20) * 5 + 1000
    whole = Moments.of(features)
    for size in (1, 7, 100):
        parts = Moments()
        for part in features.split(size):
            parts.update(part)
        assert parts.count == 333
        torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-12, atol=0)
        torch.testing.assert_close(parts.covariance, features.T.cov(), rtol=0, atol=1e-8)


def test_memory_does_not_grow_with_the_examples():
    moments = Moments()
    for seed in range(20):
        moments.update(points(seed, 50, 4))
    assert not moments._rows
    assert moments._scatter.shape == (4, 4)


def test_an_empty_batch_changes_nothing():
    features = points(0, 20, 3)
    moments = Moments.of(features)
    moments.update(features[:0])
    assert moments.count == 20


@pytest.mark.parametrize(("left", "right", "message"), [
    (points(0, 1, 4), points(1, 9, 4), "1 example has no covariance"),
    (points(0, 9, 4), points(1, 9, 5), "of 4 and of 5 dimensions"),
    (points(0, 9, 4), points(1, 9, 4) / 0, "not finite"),
    (points(0, 9, 4), torch.full((9, 4), torch.nan), "not finite"),
    (points(0, 9, 4), points(1, 9, 4, 1), "expected (N, D)"),
])  # fmt: skip
def test_what_cannot_be_compared_is_named(left, right, message):
    with pytest.raises(InputError) as error:
        distance(left, right)
    assert message in str(error.value)


def test_known_moments_must_belong_together():
    with pytest.raises(InputError, match="do not belong together"):
        Moments.given(torch.zeros(3), torch.eye(4))
    with pytest.raises(InputError, match="not symmetric"):
        Moments.given(torch.zeros(2), torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(InputError, match="after features of 3"):
        Moments.of(points(0, 5, 3)).update(points(0, 5, 2))
    with pytest.raises(InputError, match="no examples"):
        _ = Moments().mean
