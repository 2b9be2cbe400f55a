import dataclasses

import pytest
import torch

from pendio.data.examples import Resident
from pendio.errors import InputError
from pendio.generation.quality import measure
from pendio.generation.quality.features import open_features
from pendio.generation.quality.frechet import Moments, frechet_distance
from pendio.generation.quality.measure import gather, measure_quality
from pendio.generation.quality.samples import Drawn, draw

from .conftest import Blur


@pytest.fixture
def pixels(digits):
    return open_features("pixels", digits)


def test_what_is_made_is_measured_beside_held_out_real_examples(digits, pixels, judge):
    found = measure_quality(Blur(digits, noise=0.1), digits, pixels, judge=judge)
    assert found.made.examples == found.real.examples == len(digits.test)
    assert found.reference == len(digits.train)
    assert found.made.frechet > 3 * found.real.frechet
    assert found.made.kernel > 5 * found.made.kernel_error
    assert abs(found.real.kernel) < 5 * found.real.kernel_error
    assert found.real.coverage > 0.6 > found.made.recall
    assert found.judged.accuracy > 0.9
    assert found.judged_real.accuracy > 0.9
    assert found.missing == []
    assert found.remarks == []
    assert found.to_dict()["made"]["frechet"] == found.made.frechet


def test_the_same_seed_gives_the_same_numbers(digits, pixels):
    maker = Blur(digits)
    found = measure_quality(maker, digits, pixels, count=50, seed=3)
    assert found.made.examples == 50
    assert measure_quality(maker, digits, pixels, count=50, seed=3) == found
    assert measure_quality(maker, digits, pixels, count=50, seed=4) != found


def test_copies_of_the_training_data_are_at_no_distance(digits, pixels):
    class Copier(Blur):
        def sample(self, count, *, generator, labels=None, temperature=1.0):
            self.place = getattr(self, "place", 0) + count
            return digits.train.inputs[self.place - count : self.place]

    found = measure_quality(Copier(digits, classes=()), digits, pixels, count=len(digits.train))
    assert found.made.frechet < 1e-6
    assert found.made.precision == found.made.recall == 1


def test_classes_are_asked_for_as_often_as_the_data_has_them(digits, pixels, judge):
    uneven = dataclasses.replace(digits, class_counts=(900, *[0] * 8, 100))
    found = measure_quality(Blur(digits, noise=0.01), uneven, pixels, judge=judge, count=100)
    assert found.judged.shares["0"] == pytest.approx(0.9, abs=0.02)
    assert found.judged.shares["9"] == pytest.approx(0.1, abs=0.02)
    assert found.missing == [str(number) for number in range(1, 9)]


def test_what_must_be_known_to_read_the_numbers_is_said(digits, pixels):
    collapsed = Blur(digits, noise=0.0, classes=())
    collapsed.means = collapsed.means[:1]
    remarks = " ".join(measure_quality(collapsed, digits, pixels, count=20).remarks)
    assert "20 were made and 359 real ones held out" in remarks
    assert "fewer examples than the features' 64 dimensions" in remarks
    assert "collapsed" in remarks


def test_of_many_examples_some_are_kept_and_all_counted(monkeypatch, pixels, maker):
    monkeypatch.setattr(measure, "KEPT", 30)
    batches = list(draw(maker, 500))
    found = gather(batches, pixels, 500)
    assert found.moments.count == 500
    assert len(found.features) == 30
    whole = Moments.of(torch.cat([pixels(batch.examples) for batch in batches]))
    assert frechet_distance(found.moments, whole) < 1e-9


def test_what_cannot_be_measured_is_named(digits, pixels, maker):
    with pytest.raises(InputError, match="too few examples: 3"):
        measure_quality(maker, digits, pixels, count=3)
    with pytest.raises(InputError, match="--number must be at least 1"):
        measure_quality(maker, digits, pixels, count=0)
    maker.shape = (1, 16, 16)
    with pytest.raises(InputError, match="makes examples of 1×16×16, and those of 'digits' are 1×8×8"):
        measure_quality(maker, digits, pixels)
    maker.shape = (1, 8, 8)
    constant = dataclasses.replace(digits, train=Resident(torch.full((20, 1, 8, 8), 0.5), torch.zeros(20).long()))
    with pytest.raises(InputError, match="all examples of 'digits' have the same features"):
        measure_quality(maker, constant, pixels)
    maker.means = maker.means / 0
    with pytest.raises(InputError, match="values that are not finite: its training diverged"):
        measure_quality(maker, digits, pixels)
    with pytest.raises(InputError, match="no examples to compare"):
        gather([], pixels, 0)


def test_labels_and_examples_stay_together(maker):
    labels = torch.arange(600) % 10
    parts = list(draw(maker, 600, labels=labels))
    assert torch.equal(torch.cat([part.labels for part in parts]), labels)
    assert all(isinstance(part, Drawn) and len(part.examples) == len(part.labels) for part in parts)
