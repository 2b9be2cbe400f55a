import numpy as np
import pytest
import torch

from pendio.errors import InputError
from pendio.generation.autoencoder.anomaly import conformal_threshold
from pendio.generation.separation import separation


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(19, 0.05, 19), (39, 0.05, 38), (99, 0.05, 95), (9, 0.5, 5), (99, 0.1, 90)]
)
def test_the_threshold_is_the_order_statistic_of_the_formula(count, share, expected):
    scores = torch.randperm(count, generator=torch.Generator().manual_seed(0)) + 1
    assert conformal_threshold(scores, share) == expected


@pytest.mark.parametrize(
    "draw", [torch.rand, torch.randn, lambda *size, generator: torch.rand(*size, generator=generator) ** 8]
)
def test_false_alarms_are_as_many_as_promised_whatever_the_distribution(draw):
    generator = torch.Generator().manual_seed(1)
    alarms = [
        float((draw(500, generator=generator) > conformal_threshold(draw(99, generator=generator), 0.1)).float().mean())
        for _ in range(200)
    ]
    # The mean over calibration sets is exactly 1 − 90/100.
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.008)


def test_too_few_examples_are_refused_with_how_many_it_takes():
    assert conformal_threshold(torch.arange(19), 0.05) == 18
    with pytest.raises(InputError, match="--false-alarms 0.05 needs 19 held-out examples at least, and there are 18"):
        conformal_threshold(torch.arange(18), 0.05)


def test_auroc_is_the_share_of_pairs_in_order():
    scores, strange = [1.0, 2.0, 3.0, 3.0, 5.0], [False, True, False, True, True]
    pairs = [
        (s, n) for s, a in zip(scores, strange, strict=True) if a for n, b in zip(scores, strange, strict=True) if not b
    ]
    expected = np.mean([(s > n) + 0.5 * (s == n) for s, n in pairs])
    assert separation(scores, strange)["auroc"] == pytest.approx(expected)
    assert separation([1, 2], [False, False]) == {}
