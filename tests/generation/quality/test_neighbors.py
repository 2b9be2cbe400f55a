import pytest
import torch

from pendio.errors import InputError
from pendio.generation.quality import neighbors
from pendio.generation.quality.neighbors import neighbor_distances, neighborhoods


def points(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_neighbors_are_those_of_all_pairs(monkeypatch):
    monkeypatch.setattr(neighbors, "_CHUNK", 7)
    features = points(0, 40, 3)
    expected = torch.cdist(features, features).square().sort(1).values[:, 1:6]
    torch.testing.assert_close(neighbor_distances(features, 5), expected)


def test_chunks_do_not_change_the_shares(monkeypatch):
    real, made = points(0, 60, 3), points(1, 45, 3) + 0.4
    whole = neighborhoods(real, made)
    for chunk in (3, 13, 45):
        monkeypatch.setattr(neighbors, "_CHUNK", chunk)
        assert neighborhoods(real, made) == whole


def test_a_lost_mode_costs_recall_and_an_invented_one_precision():
    left, right = points(0, 100, 2) * 0.1, points(1, 100, 2) * 0.1 + 5
    both = torch.cat([left, right])
    lost = neighborhoods(both, points(2, 200, 2) * 0.1)
    assert lost.precision > 0.9
    assert lost.recall < 0.55
    assert lost.coverage < 0.55
    invented = neighborhoods(left, torch.cat([points(2, 100, 2) * 0.1, right]))
    assert invented.precision < 0.55
    assert invented.recall > 0.9


def test_what_is_alike_has_density_and_coverage_near_their_expectation():
    found = neighborhoods(points(0, 1500, 4), points(1, 1500, 4))
    assert found.density == pytest.approx(1, abs=0.05)
    assert found.coverage == pytest.approx(1 - 2**-5, abs=0.03)


def test_a_collapsed_maker_reaches_almost_nothing():
    real = points(0, 50, 3)
    found = neighborhoods(real, real[:1].expand(20, -1))
    assert found.precision == 1
    assert found.recall <= 0.02


def test_features_far_from_the_origin_are_told_apart():
    real, made = points(0, 80, 3).float(), points(1, 60, 3).float() + 0.3
    assert neighborhoods(real + 3000, made + 3000).coverage == pytest.approx(
        neighborhoods(real, made).coverage, abs=0.04
    )


def test_too_few_neighbors_are_an_error():
    with pytest.raises(InputError, match="too few examples: 5; comparing needs at least 6"):
        neighborhoods(points(0, 5, 2), points(1, 9, 2))
    with pytest.raises(InputError, match="k must be at least 1"):
        neighborhoods(points(0, 9, 2), points(1, 9, 2), k=0)
