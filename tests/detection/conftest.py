import pytest

import pendio
from pendio.data.annotations.convert import convert

QUICK = {"size": 64, "epochs": 1, "steps": 4, "batch": 8}
"""Options of a training that takes seconds."""


@pytest.fixture(scope="session")
def few_scenes(tmp_path_factory):
    """Sixteen scenes for training, and as many to measure on, in COCO's form."""
    folder = tmp_path_factory.mktemp("session") / "scenes"
    convert("scenes", "coco", folder, most=16)
    return str(folder)


@pytest.fixture(scope="session")
def detect_run(tmp_path_factory, few_scenes):
    """A detector that has hardly begun to learn."""
    out = tmp_path_factory.mktemp("session") / "boxes"
    return pendio.train("detect", progress=False, out=str(out), model="yolov3-tiny", data=few_scenes, **QUICK)


@pytest.fixture(scope="session")
def pyramid_run(tmp_path_factory, few_scenes):
    """The same on a backbone with a feature pyramid."""
    out = tmp_path_factory.mktemp("session") / "pyramid"
    return pendio.train("detect", progress=False, out=str(out), model="cnn", width=16, data=few_scenes, **QUICK)
