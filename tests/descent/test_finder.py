import json
from pathlib import Path

import pytest
import torch

from pendio.classification.options import Classify
from pendio.classification.recipe import find_lr
from pendio.errors import InputError


def test_the_suggestion_trains_well_and_lies_where_the_loss_falls():
    found = find_lr(Classify.of({"model": "mlp"}))
    place = found.rates.index(found.suggestion)
    assert 3e-4 < found.suggestion < 0.1
    assert found.losses[place] < 0.9 * found.losses[0]
    assert found.losses[place] > 1.1 * min(found.losses)
    assert list(found.rates) == sorted(found.rates)


def test_a_steeper_loss_asks_for_smaller_steps():
    """Plain descent's best rate is inverse to the curvature: weights of ten times the inputs need a hundredth."""
    from types import SimpleNamespace

    from pendio.descent.finder import find_lr as search
    from pendio.descent.plan import Plan

    from .conftest import make_network, make_regression

    def rate(scale):
        data = make_regression()
        split = data.train
        bigger = type(split)(split.inputs * scale, split.targets)
        return search(make_network(), SimpleNamespace(train=bigger, val=bigger), Plan(optimizer="sgd")).suggestion

    assert rate(10.0) < rate(1.0) / 10


def test_nothing_is_trained_and_nothing_written(cli):
    result = cli("find-lr", "--data", "moons", "--model", "mlp", "--json", "--picture", "curve.png")
    assert result.code == 0
    found = json.loads(result.out)
    assert found["lr"] in found["rates"]
    assert [path.name for path in Path().iterdir()] == ["curve.png"]


def test_the_task_is_left_alone_and_hopeless_data_is_told():
    from pendio.descent.finder import _steepest

    with pytest.raises(InputError, match="does not fall at any learning rate"):
        _steepest([1e-6 * 2**n for n in range(20)], [1.0 + 0.1 * n for n in range(20)])
    before = torch.get_rng_state()
    find_lr(Classify.of({"data": "moons", "model": "mlp"}))
    assert torch.equal(torch.get_rng_state(), before)
