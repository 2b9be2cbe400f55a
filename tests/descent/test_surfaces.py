import json
from pathlib import Path

import pytest
import torch

from pendio.descent.plan import Plan
from pendio.descent.surfaces import SURFACES, descend, momentum_rate, plain_rate

from ..conftest import mistake


def test_a_path_starts_at_the_start_and_each_step_follows_the_gradient():
    path = descend(SURFACES["ravine"], Plan(optimizer="sgd", lr=0.01), 2)
    assert path.points[0].tolist() == [-1.8, 0.9]
    assert path.points[1].tolist() == pytest.approx([-1.8 * 0.99, 0.9 * 0.7])
    assert path.heights.tolist() == sorted(path.heights.tolist(), reverse=True)


def test_minima_are_where_the_table_says():
    for name, surface in SURFACES.items():
        if surface.minimum is None:
            continue
        around = torch.tensor(surface.minimum) + 0.1 * torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        assert (surface.height(around) > surface.height(torch.tensor(surface.minimum))).all(), name


def test_rates_agree_where_there_is_no_momentum_and_the_best_momentum_is_polyaks():
    assert momentum_rate(0.05, 0.0, (1.0, 30.0)) == pytest.approx(plain_rate(0.05, (1.0, 30.0)))
    root = 30**0.5
    best = ((root - 1) / (root + 1)) ** 2
    assert momentum_rate(4 / (root + 1) ** 2, best, (1.0, 30.0)) == pytest.approx(best**0.5, abs=1e-6)


def test_a_path_ends_where_numbers_do():
    path = descend(SURFACES["rosenbrock"], Plan(optimizer="sgd", lr=1.0), 1000)
    assert len(path.points) < 50
    assert path.heights.isfinite().all()


def test_saddles_are_left_by_momentum_sooner():
    plain, momentum = (
        descend(SURFACES["saddle"], Plan(optimizer=name, lr=0.1), 40).heights[-1] for name in ("sgd", "momentum")
    )
    assert momentum < plain


def test_the_command_walks_and_draws(cli):
    rows = json.loads(cli("descend", "bowl", "--optimizers", "sgd", "--steps", 50, "--json", "--out", "path.png").out)
    assert rows[0]["height"] == pytest.approx(2 * 0.9**100, rel=1e-3)
    assert Path("path.png").read_bytes().startswith(b"\x89PNG")
    assert "diverged" in cli("descend", "ravine", "--optimizers", "sgd", "--lr", 0.1).out
    assert "did you mean 'ravine'?" in mistake(cli("descend", "ravin"))
    assert "--lr must be greater than 0" in mistake(cli("descend", "bowl", "--lr", -1))
    assert "--steps must be 1 to" in mistake(cli("descend", "bowl", "--steps", 0))
