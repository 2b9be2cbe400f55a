import pytest

import pendio

QUICK = {"size": 64, "epochs": 1, "steps": 4, "batch": 8}
"""Options of a training that takes seconds."""


@pytest.fixture(scope="session")
def detect_run(tmp_path_factory):
    """A detector that has hardly begun to learn."""
    out = tmp_path_factory.mktemp("session") / "boxes"
    return pendio.train("detect", progress=False, out=str(out), model="yolov3-tiny", data="scenes", **QUICK)


@pytest.fixture(scope="session")
def pyramid_run(tmp_path_factory):
    """The same on a backbone with a feature pyramid."""
    out = tmp_path_factory.mktemp("session") / "pyramid"
    return pendio.train("detect", progress=False, out=str(out), model="cnn", width=16, data="scenes", **QUICK)
