import math

import pytest
import torch

from pendio.errors import InputError
from pendio.generation.quality.judge import Judge, class_score, judged
from pendio.nn.network import Network

from .conftest import Blur, Flat

DARK, LIGHT = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)


@pytest.fixture
def eye():
    """Tells dark images from light ones."""
    return Network(Flat(), (1, 4, 4), [0.0], [1.0], ("dark", "light"))


def test_shares_and_accuracy_are_counted(eye):
    judge = Judge(eye, ("light", "dark"))
    judge.update(torch.cat([DARK, DARK, LIGHT]), torch.tensor([1, 0, 0]))
    judge.update(DARK, torch.tensor([1]))
    found = judge.verdict()
    assert found.examples == 4
    assert found.shares == {"dark": 0.75, "light": 0.25}
    assert found.accuracy == 0.75
    assert found.accuracies == {"dark": 1.0, "light": 0.5}
    assert found.confidence == pytest.approx(1)


def test_where_no_class_is_asked_for_there_is_no_accuracy(eye):
    judge = Judge(eye)
    judge.update(DARK)
    assert judge.verdict().accuracy is None
    assert judge.verdict().accuracies == {}


def test_classes_far_below_their_due_are_missing(eye):
    judge = Judge(eye)
    judge.update(torch.cat([DARK.expand(9, -1, -1, -1), LIGHT]))
    verdict = judge.verdict()
    assert verdict.missing() == ["light"]
    assert verdict.missing({"dark": 0.7, "light": 0.3}) == []
    assert verdict.missing({"dark": 0.6, "light": 0.4}) == ["light"]


def test_the_class_score_is_between_one_and_the_number_of_classes():
    probabilities = torch.rand(50, 6, generator=torch.Generator().manual_seed(0)).double().softmax(1)
    divergence = (probabilities * (probabilities / probabilities.mean(0)).log()).sum(1).mean()
    assert class_score(probabilities) == pytest.approx(math.exp(divergence), rel=1e-12)
    assert 1 < class_score(probabilities) < 6


def test_the_judge_sees_the_classes_that_are_asked_for(digits, judge):
    clear = judged(Blur(digits, noise=0.05), judge, 200)
    assert clear.accuracy > 0.95
    assert all(share == pytest.approx(0.1, abs=0.03) for share in clear.shares.values())
    assert judged(Blur(digits, noise=3.0), judge, 200).accuracy < 0.5
    assert judged(Blur(digits, noise=0.05), judge, 200) == clear


def test_a_maker_that_lost_classes_is_found_out(digits, judge):
    maker = Blur(digits, noise=0.05, classes=())
    maker.means = maker.means[[0, 1, 2, 0, 1, 2, 0, 1, 2, 2]]
    found = judged(maker, judge, 300)
    assert found.missing() == ["3", "4", "5", "6", "7", "8", "9"]
    assert found.accuracy is None
    assert found.class_score < 3.5


def test_a_judge_must_know_what_is_asked_for(eye):
    with pytest.raises(InputError, match="the judge does not know '7'; it knows 'dark', 'light'"):
        Judge(eye, ("dark", "7"))
    with pytest.raises(InputError, match="no examples to judge"):
        Judge(eye).verdict()
