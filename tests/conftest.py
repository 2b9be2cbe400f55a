import io
import os

import pytest
import torch
from PIL import Image

import pendio
from pendio.cli import main


class Result:
    """What a command did: its exit code, and what it printed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def cli(capfd, tmp_path, monkeypatch):
    """Run a command in an empty folder, as a user does; an exception that is not an exit is a traceback, and fails."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        capfd.readouterr()
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as exit_:
            code = exit_.code
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


def mistake(result):
    """The one line a mistake costs."""
    assert result.code == 2, result.err
    lines = [line for line in result.err.splitlines() if not line.startswith("epoch ")]
    assert len(lines) == 1, result.err
    assert lines[0].startswith("pendio: ")
    return lines[0].removeprefix("pendio: ")


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A CNN trained on digits for three epochs."""
    out = tmp_path_factory.mktemp("session") / "digits"
    return pendio.train("classify", progress=False, data="digits", model="cnn", epochs=3, lr=0.005, out=str(out))


@pytest.fixture(scope="session")
def second_run(tmp_path_factory):
    """The same from another seed."""
    out = tmp_path_factory.mktemp("session") / "second"
    return pendio.train("classify", progress=False, data="digits", model="mlp", epochs=2, lr=0.01, seed=1, out=str(out))


class Evil:
    """Unpickling this writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def malicious(tmp_path):
    """A file posing as weights, and the file it would write when it is unpickled."""
    path, mark = tmp_path / "weights.pt", tmp_path / "mark"
    torch.save({"body": Evil(mark)}, path)
    return path, mark


def pixels(png):
    """The picture in a PNG as ``(H, W, 3)`` uint8."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(image.height, image.width, 3)
