import json
import re

import pytest
import torch

from pendio.data.examples import Finding
from pendio.detection.report import evaluate_detector, write_report
from pendio.detection.yolo.scales import Scale
from pendio.errors import InputError
from pendio.runs.run import Run

from .seeing import Seer, Shown, data

CUP, SPOON, FAR = [8.0, 8, 24, 24], [40.0, 40, 56, 48], [2.0, 50, 12, 60]
SCALES = (Scale(32, ((32.0, 32.0),)), Scale(16, ((16.0, 16.0),)))


@pytest.fixture
def shown():
    """Three test images: all right, one object missed, one box in the background; a detector of them; their data."""
    both = [(CUP, 0), (SPOON, 1)]
    test = Shown([both, both, both], names=["a/good.png", "a/missed.png", "a/false.png"])
    right = [(CUP, 0.9, 0), (SPOON, 0.8, 1)]
    task = Seer({0: right, 1: right[:1], 2: [*right, (FAR, 0.95, 0)]}, SCALES)
    train = Shown([both] * 5, shade=50)
    return task, data(train, Shown([both], shade=90), test, (Finding("empty", "4 images have no box"),))


def run_in(folder, records=3, **columns):
    config = {"recipe": "detect", "options": {"model": "yolov3-tiny"}}
    run = Run.create(folder / "run", config, {"weight": torch.zeros(1)}, {})
    for number in range(1, records + 1):
        run.append({"epoch": number, "step": number, "loss": 3 / number, "val_loss": 4 / number, "lr": 0.1,
                    "best": number == records, **{name: value * number for name, value in columns.items()}})  # fmt: skip
    return run


def test_everything_is_measured_in_one_pass(shown):
    task, sets = shown
    passes = []
    original = sets.test.batches
    sets.test.batches = lambda *arguments, **options: passes.append(1) or original(*arguments, **options)
    found = evaluate_detector(task, sets, sets.test)
    assert passes == [1]
    # Three cups, the first detection false: precision is at most 3/4. Two of three spoons.
    assert found.precision.per_class()[0][1] == pytest.approx(3 / 4)
    assert found.precision.per_class()[1][1] == pytest.approx(67 / 101)
    assert found.confusion.tolist() == [[3, 0, 0], [0, 2, 1], [1, 0, 0]]
    assert found.best.score == pytest.approx(0.8)
    assert [found.names[image] for image in found.images.worst.tolist()] == ["a/missed.png", "a/false.png"]


def test_what_is_told_can_be_written_as_json_and_names_images(shown):
    task, sets = shown
    told = json.loads(json.dumps(evaluate_detector(task, sets, sets.test).to_dict()))
    assert told["examples"] == 3
    assert told["classes"]["cup"]["map50"] == pytest.approx(3 / 4)
    images = {share["kind"]: share["images"] for share in told["errors"]}
    assert images["missed"] == ["a/missed.png"]
    assert images["background"] == ["a/false.png"]
    assert images["duplicate"] == []


def test_other_classes_are_refused(shown):
    task, sets = shown
    task.classes = ("cup", "fork")
    with pytest.raises(InputError, match="has the classes cup, spoon, and the run knows cup, fork"):
        evaluate_detector(task, sets, sets.test)


def text_of(run):
    page = (run.folder / "report.html").read_text()
    return " ".join(re.sub(r"<[^>]+>|data:image[^\"]+", " ", page).split())


def test_the_report_tells_what_came_out_and_where(shown, tmp_path):
    task, sets = shown
    run = run_in(tmp_path, val_map=0.1, val_recall100=0.1)
    write_report(run, task, sets)
    text = text_of(run)
    for words in ("yolov3-tiny on mine: mAP 0.", "mAP, overlap 0.5", "F1 is highest at a score of 0.80", "missed.png",
                  "an object that nothing was found of", "4 images have no box",
                  "pendio diagnose", "16×16", "on average, in one centre"):  # fmt: skip
        assert words in text, words
    # No object is above 96² pixels.
    assert "mAP, objects above 96² pixels –" in text
    names = {path.stem for path in (run.folder / "pictures").iterdir()}
    assert names == {"curves", "precision", "confusion", "errors", "worst", "typical", "data"}


def test_a_perfect_detector_without_anchors_that_learns_something_else_is_reported_on_too(shown, tmp_path):
    _, sets = shown
    right = [(CUP, 0.9, 0), (SPOON, 0.8, 1)]
    run = run_in(tmp_path, val_accuracy=0.2)
    write_report(run, Seer({0: right, 1: right, 2: right}), sets)
    text = text_of(run)
    assert "mAP 1.000" in text
    assert "in one centre" not in text
    assert not (run.folder / "pictures" / "worst.png").exists(), "there are no mistakes to show"


def test_a_detector_that_finds_nothing_is_reported_on(shown, tmp_path):
    _, sets = shown
    run = run_in(tmp_path, val_map=0.0, val_recall100=0.0)
    write_report(run, Seer({}, SCALES), sets)
    text = text_of(run)
    assert "mAP 0.000" in text
    assert "The detector finds nothing" in text
