import dataclasses

import pytest
import torch

from pendio.runs.diagnosis import Evidence, LayerStep
from pendio.segmentation.diagnosis import MapProbe, diagnose_map_curves, diagnose_maps, probe

from .conftest import CLASSES, make_data, make_task


def kinds(found):
    return [one.kind for one in found]


def matrix(*rows):
    return torch.tensor(rows)


GOOD = matrix([9000, 50, 50], [40, 900, 0], [30, 0, 700])


def test_a_healthy_network_has_nothing_to_be_told():
    assert diagnose_maps(MapProbe(CLASSES, GOOD, GOOD, 0.0)) == []


@pytest.mark.parametrize(
    ("changes", "kind", "evidence"),
    [
        ({"ignored": 0.97}, "mostly-ignored", "97.0% of the pixels"),
        ({"train": matrix([9000, 50, 0], [40, 900, 0], [0, 0, 0])}, "unseen-classes", "'stripe' in none"),
        ({"train": matrix([9000, 50, 0], [40, 900, 0], [90, 0, 0]), "val": matrix([900, 5, 0], [4, 90, 0], [9, 0, 0])},
         "never-predicted", "'stripe': 0.89% of the pixels"),
        ({"train": matrix([99000, 50, 50], [40, 9000, 0], [300, 0, 40]),
          "val": matrix([9900, 5, 5], [4, 900, 0], [30, 0, 4])}, "class-imbalance", "'stripe' have 0.31%"),
        ({"val": matrix([9000, 500, 500], [440, 500, 0], [430, 0, 300])}, "overfitting", "on training images"),
        ({"train": matrix([9000, 500, 500], [440, 500, 0], [430, 0, 300]),
          "val": matrix([9000, 500, 500], [440, 500, 0], [430, 0, 300])}, "underfitting", "on training images"),
    ],
)  # fmt: skip
def test_each_ailment_is_named_with_its_numbers(changes, kind, evidence):
    found = diagnose_maps(dataclasses.replace(MapProbe(CLASSES, GOOD, GOOD, 0.0), **changes))
    [one] = [one for one in found if one.kind == kind]
    assert evidence in one.evidence
    assert one.flag.startswith("--")


def test_who_weighs_classes_already_is_not_told_to():
    case = MapProbe(CLASSES, matrix([99000, 50, 0], [40, 9000, 0], [300, 0, 0]), GOOD, 0.0, weighted=True)
    case = dataclasses.replace(case, val=matrix([9900, 5, 0], [4, 900, 0], [30, 0, 0]))
    [one] = [one for one in diagnose_maps(case) if one.kind == "never-predicted"]
    assert "class-weights" not in one.flag


def history(*rows):
    names = ("loss", "val_loss", "val_miou", "val_pixel_accuracy", "lr")
    return [{**dict(zip(names, row, strict=True)), "epoch": number, "step": number} for number, row in enumerate(rows)]


def test_curves_tell_of_rare_classes_while_there_is_time():
    rows = [(0.5, 0.5, 0.10, 0.94, 1e-3)] * 4
    [one] = diagnose_map_curves(Evidence(history(*rows)))
    assert one.kind == "class-imbalance"
    assert "94.0%" in one.evidence
    assert diagnose_map_curves(Evidence(history((0.5, 0.5, 0.1, 0.94, 1e-3), *[(0.4, 0.4, 0.8, 0.97, 1e-3)] * 3))) == []


def test_curves_tell_of_overfitting():
    rows = [(0.5, 0.5, 0.6, 0.9, 1e-3), (0.3, 0.4, 0.7, 0.9, 1e-3), (0.2, 0.45, 0.7, 0.9, 1e-3),
            (0.1, 0.5, 0.7, 0.9, 1e-3), (0.05, 0.6, 0.7, 0.9, 1e-3)]  # fmt: skip
    [one] = diagnose_map_curves(Evidence(history(*rows)))
    assert (one.kind, "0.4 in epoch 2" in one.evidence) == ("overfitting", True)


def test_a_wild_learning_rate_hides_what_follows_from_it():
    wild = history(*[(0.5 * 20**number, 9.0, 0.1, 0.94, 1.0) for number in range(4)])
    found = diagnose_map_curves(Evidence(wild, [{"a": LayerStep(1.0, 5.0, 3.0)}] * 4))
    assert kinds(found)[0] == "lr-too-high"
    assert "class-imbalance" not in kinds(found)


def test_looking_at_the_data_counts_pixels(trained):
    seen = probe(trained, make_data())
    assert int(seen.train.sum()) == 24 * 32 * 32
    assert float(seen.val.diag().sum() / seen.val.sum()) > 0.9
    assert seen.ignored == 0
    assert diagnose_maps(seen) == []
    untrained = make_task()
    untrained.network.module.head.bias.data[0] = 1e4
    assert "never-predicted" in kinds(diagnose_maps(probe(untrained, make_data())))
