import dataclasses
import re
from pathlib import Path

import pytest

import pendio.detection.diagnosis as module
from pendio.data.examples import Finding
from pendio.detection.diagnosis import BoxProbe, Grid, diagnose_boxes, diagnose_detector, look
from pendio.detection.options import DetectOptions, DetectPlan
from pendio.detection.yolo.scales import Scale
from pendio.runs.diagnosis import Evidence, LayerStep

from .seeing import Seer, Shown, data

GOOD = BoxProbe(
    classes=("cup", "spoon"), size=64, counts=(100, 90), train=0.8, val=0.75, per_class=(0.8, 0.7), sure=(50, 50),
    gains={"localisation": 0.05, "duplicate": 0.01}, grid=Grid(0.7, 16, 0.0, 0.0, 0.01, 200),
)  # fmt: skip

QUIET = Evidence([])


def kinds(probe, evidence=QUIET):
    return [finding.kind for finding in diagnose_boxes(evidence, probe)]


def with_grid(**changes):
    return dataclasses.replace(GOOD, grid=dataclasses.replace(GOOD.grid, **changes))


def test_where_all_is_well_nothing_is_said():
    assert kinds(GOOD) == []
    assert kinds(dataclasses.replace(GOOD, grid=None)) == []


@pytest.mark.parametrize(
    ("kind", "probe"),
    [
        ("anchors", with_grid(fit=0.54)),
        ("no-positive-cells", with_grid(answered=0)),
        ("tiny-objects", with_grid(tiny=0.3)),
        ("coarse-cells", with_grid(coarse=0.3)),
        ("collisions", with_grid(lost=0.06)),
        ("boxes-outside", dataclasses.replace(GOOD, findings=(Finding("clipped", "9 boxes reach outside: a.png"),))),
        ("boxes-outside", dataclasses.replace(GOOD, findings=(Finding("unusable", "2 boxes of no area: a.png"),))),
        ("silent", dataclasses.replace(GOOD, sure=(2, 50))),
        ("class-imbalance", dataclasses.replace(GOOD, counts=(1000, 50), per_class=(0.8, 0.3))),
        ("overfitting", dataclasses.replace(GOOD, train=0.9, val=0.6)),
        ("loose-boxes", dataclasses.replace(GOOD, gains={"localisation": 0.2})),
        ("duplicates", dataclasses.replace(GOOD, gains={"duplicate": 0.1})),
        ("underfitting", dataclasses.replace(GOOD, train=0.4, val=0.35)),
    ],
)
def test_each_cause_is_named(kind, probe):
    assert kinds(probe) == [kind]


@pytest.mark.parametrize(
    "probe",
    [
        with_grid(fit=0.56), with_grid(lost=0.05), with_grid(tiny=0.1), with_grid(coarse=0.1),
        dataclasses.replace(GOOD, findings=(Finding("empty", "3 images have no box"),)),
        dataclasses.replace(GOOD, counts=(1000, 50), per_class=(0.8, 0.75)),
        dataclasses.replace(GOOD, counts=(1000, 0), per_class=(0.8, -1)),
        dataclasses.replace(GOOD, sure=(0, 0)),
    ],
)  # fmt: skip
def test_what_is_usual_is_not_named(probe):
    assert kinds(probe) == []


def test_who_is_silent_need_not_hear_of_the_rest():
    poor = dataclasses.replace(GOOD, sure=(0, 50), train=0.01, val=0.0, counts=(1000, 5), per_class=(0.0, 0.0))
    assert kinds(poor) == ["silent"]


def history(**columns):
    length = len(next(iter(columns.values())))
    return [
        {"epoch": number + 1, "loss": 9 - number, **{name: values[number] for name, values in columns.items()}}
        for number in range(length)
    ]


def test_curves_alone_tell_of_silence_and_of_a_best_gone_by():
    silent = Evidence(history(val_recall100=[0.0, 0.0, 0.0, 0.0]))
    assert [finding.kind for finding in diagnose_detector(silent)] == ["silent"]
    assert kinds(dataclasses.replace(GOOD, sure=(0, 50)), silent) == ["silent"], "said once"
    late = Evidence(history(val_recall100=[0.2] * 5, val_map=[0.1, 0.4, 0.35, 0.3, 0.2]))
    assert [finding.kind for finding in diagnose_detector(late)] == ["past-its-best"]
    fine = Evidence(history(val_recall100=[0.0, 0.0, 0.1, 0.2], val_map=[0.1, 0.2, 0.3, 0.29]))
    assert diagnose_detector(fine) == []
    assert diagnose_detector(Evidence(history(accuracy=[0.1, 0.2, 0.3, 0.4]))) == []


def test_a_wild_optimisation_is_told_of_as_for_all_tasks():
    steps = [{"layer": LayerStep(1.0, 1.0, 2.0)}] * 3
    wild = Evidence([{"loss": 1.0, "lr": 1.0}, {"loss": 90.0, "lr": 1.0}], steps)
    assert [finding.kind for finding in diagnose_detector(wild)] == ["lr-too-high"]


def test_every_flag_is_an_option():
    known = {name.replace("_", "-") for kind in (DetectOptions, DetectPlan) for name in kind.__dataclass_fields__}
    source = Path(module.__file__).read_text(encoding="utf-8")
    flags = set(re.findall(r"--([a-z0-9-]+)", source))
    assert flags
    assert flags <= known, flags - known


# What is looked at


def scene(*boxes):
    return [(box, label) for label, box in enumerate(boxes)]


CUP, SPOON = [8.0, 8, 24, 24], [40.0, 40, 56, 48]
SCALES = (Scale(32, ((32.0, 32.0),)), Scale(16, ((16.0, 16.0), (16.0, 8.0))))


def test_looking_measures_what_the_rules_ask_for():
    train, val = Shown([scene(CUP, SPOON)] * 4), Shown([scene(CUP, SPOON), scene(CUP)], shade=100)
    right = [(CUP, 0.9, 0), (SPOON, 0.9, 1)]
    task = Seer(dict.fromkeys(range(4), right) | {100: right[:1]}, SCALES)
    probe = look(task, data(train, val, counts=(4, 4)))
    assert (probe.train, probe.counts, probe.sure) == (1, (4, 4), (1, 2))
    # Of two cups the first was found, of one spoon none.
    assert probe.per_class == (pytest.approx(51 / 101), 0)
    assert probe.val == pytest.approx(51 / 202)
    assert probe.gains["missed"] > 0.7
    assert probe.grid == Grid(1, 16, 0, 0, 0, 8)


def test_objects_that_share_a_cell_and_anchor_are_lost():
    near = [9.0, 9, 25, 25]
    crowded = Shown([[(CUP, 0), (near, 0)], scene(CUP)])
    grid = look(Seer({}, SCALES), data(crowded, crowded)).grid
    assert (grid.answered, grid.lost) == (2, pytest.approx(1 / 3))


def test_an_object_of_two_classes_is_not_lost():
    both = Shown([[(CUP, 0), (CUP, 1)]])
    assert look(Seer({}, SCALES), data(both, both)).grid.lost == 0


def test_shapes_that_no_anchor_is_like_are_noticed():
    long = Shown([[([0.0, 0, 60, 3], 0)]] * 3)
    probe = look(Seer({}, SCALES), data(long, long))
    assert probe.grid.fit < 0.3
    assert probe.grid.tiny == 1
    assert {"anchors", "tiny-objects", "silent"} <= set(kinds(probe))


def test_objects_on_a_needlessly_coarse_grid_are_noticed():
    split = Shown([scene(CUP, SPOON)] * 3)
    coarse = look(Seer({}, (Scale(32, ((16.0, 16.0),)), Scale(16, ((16.0, 8.0),)))), data(split, split)).grid
    assert coarse.coarse == 0.5
    assert look(Seer({}, SCALES), data(split, split)).grid.coarse == 0


def test_detectors_without_a_grid_have_none_to_look_at():
    split = Shown([scene(CUP)])
    assert look(Seer({}), data(split, split)).grid is None
