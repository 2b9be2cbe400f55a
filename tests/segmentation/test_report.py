import math

import pytest
import torch

from pendio.descent.loop import evaluate
from pendio.segmentation.report import class_table, ranked

from .conftest import make_data


def test_a_report_shows_the_classes_and_the_worst_images(run):
    page = (run.folder / "report.html").read_text()
    for text in ("unet on", "mean intersection over union", "boundary F1", "pendio train segment --config", "square",
                 "The test images with the least mean intersection over union"):  # fmt: skip
        assert text in page
    assert {"curves.png", "worst.png", "middle.png", "data.png", "confusion.png"} <= {
        path.name for path in (run.folder / "pictures").iterdir()
    }


def test_images_are_ranked_from_the_worst_on(trained):
    split = make_data().val
    split.targets[2] = 2
    split.targets[4] = 255
    order = ranked(trained, split)
    assert order[0].place == 2
    assert [one.miou for one in order] == sorted(one.miou for one in order)
    assert {one.place for one in order} == {0, 1, 2, 3, 5}, "of image 4 nothing is known"


def test_classes_have_their_numbers_and_none_where_there_is_nothing(trained):
    split = make_data().val
    split.targets[split.targets == 2] = 255
    trained.met.reset()
    evaluate(trained, split)
    rows = {row[0]: row[1:] for row in class_table(trained).rows}
    assert rows["square"][0] == pytest.approx(float(trained.last["iou"][1]))
    assert rows["square"][2] == f"{float((split.targets == 1).sum() / (split.targets != 255).sum()):.2%}"
    assert rows["stripe"][2] == "0.00%"
    assert all(not isinstance(value, float) or not math.isnan(value) for row in rows.values() for value in row)
    assert torch.is_tensor(trained.last["confusion"])
