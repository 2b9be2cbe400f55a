"""The guided tour: every chapter on embedded data, and one page of results."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pendio.classification.evaluation import evaluate_classifiers
from pendio.classification.prediction import Prediction, predict
from pendio.classification.recipe import load_classifier, open_data, run_options
from pendio.data.embedded import PHOTOS, photo
from pendio.data.streams import frame
from pendio.errors import InputError
from pendio.pictures.curves import draw_curves
from pendio.pictures.grids import draw_grid
from pendio.recipes import network, train
from pendio.runs.files import writing
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import Run

__all__ = ["STOPS", "Stop", "tour"]


@dataclass(frozen=True)
class Stop:
    """A stop of the tour: a title, and what happens there in a folder of its own."""

    title: str
    visit: Callable[[Path], Section]


def tour(out: Path) -> Path:
    """Make every stop and write ``out/index.html``.

    Returns:
        The page.

    Raises:
        InputError: ``out`` is not the folder of an earlier tour and not empty, or cannot be written.
    """
    _clear(out)
    sections, began = [], time.perf_counter()
    for number, stop in enumerate(STOPS, 1):
        print(f"[{number}/{len(STOPS)}] {stop.title}", file=sys.stderr)
        start = time.perf_counter()
        section = stop.visit(out)
        sections.append(section)
        print(f"      {time.perf_counter() - start:.0f} s", file=sys.stderr)
    subtitle = (
        f"{len(STOPS)} stops on data that comes with pendio, in {time.perf_counter() - began:.0f} seconds on this machine. "
        "Each shows the command that does the same for you; put your own folder after --data."
    )
    page = out / "index.html"
    write_page(page, "A tour of pendio", subtitle, sections)
    return page


def _clear(out: Path) -> None:
    """Empty the folder of an earlier tour."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / ".pendio-tour").is_file():
        raise InputError(f"'{out}' exists and is no earlier tour; choose another folder with --out")
    with writing(out):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / ".pendio-tour").touch()


def _picture(run: Run, name: str, caption: str) -> Picture:
    return Picture((run.folder / "pictures" / f"{name}.png").read_bytes(), caption)


def _test_accuracy(run: Run) -> float:
    data = open_data(run_options(run))
    return evaluate_classifiers([load_classifier(run)], data, [data.split("test")]).metrics["accuracy"]


def _digits(out: Path) -> Section:
    rows, runs = [], {}
    for model in ("mlp", "lenet", "cnn"):
        start = time.perf_counter()
        runs[model] = train("classify", data="digits", model=model, out=str(out / f"digits-{model}"))
        parameters = sum(p.numel() for p in load_classifier(runs[model]).parameters())
        seconds = f"{time.perf_counter() - start:.1f} s"
        rows.append((model, f"{parameters:,}", f"{_test_accuracy(runs[model]):.2%}", seconds))
    return Section(
        "Learn to read digits",
        text="Three networks from scratch on 1,259 handwritten digits of 8×8 pixels, measured on 359 others. The run folder "
        "each leaves has a report with everything below and more.",
        code="pendio train classify --data digits --model cnn",
        tables=[Table(("model", "parameters", "test accuracy", "time"), rows)],
        pictures=[
            Picture(draw_curves(runs["cnn"].history(), "accuracy"), "How the CNN learned."),
            _picture(runs["cnn"], "worst", "The test digits the CNN found hardest: red where it was wrong."),
        ],
    )


def _spirals(out: Path) -> Section:
    run = train("classify", data="spirals", model="mlp", out=str(out / "spirals"), epochs=60, lr=5e-3)
    return Section(
        "Draw a boundary",
        text="A multi-layer perceptron bends a boundary between two spiral arms that no straight line could part.",
        code="pendio train classify --data spirals --model mlp --epochs 60 --lr 5e-3",
        pictures=[_picture(run, "regions", f"Test accuracy {_test_accuracy(run):.1%}. Paler where less sure.")],
    )


def _textures(out: Path) -> Section:
    run = train("classify", data="textures", model="efficientnet-lite0", freeze=True, out=str(out / "textures"))
    return Section(
        "Teach an old network new classes",
        text="EfficientNet-Lite0 has seen a million photographs of other things. Its body stays as it is; what it makes of "
        "each patch of brick, grass and gravel is computed once, and a new head learns from that in seconds.",
        code="pendio train classify --data textures --model efficientnet-lite0 --freeze",
        pictures=[
            _picture(run, "data", f"Training patches. Test accuracy {_test_accuracy(run):.1%} on parts never seen."),
        ],
    )


def _photos(out: Path) -> Section:
    lite0 = network("efficientnet-lite0")
    answers = [answer for answer in predict(lite0, ["photos"], top=3) if isinstance(answer, Prediction)]
    captions = ["\n".join(f"{name[:15]} {value:.0%}" for name, value in _pairs(answer)) for answer in answers]
    images = torch.stack([frame(photo(name), 224) for name in PHOTOS])
    return Section(
        "Name what is in a picture",
        text="The same network with its own 1,000 classes, on photographs that come with scikit-image and scikit-learn.",
        code="pendio predict efficientnet-lite0 photos\npendio predict efficientnet-lite0 my-picture.jpg --json",
        pictures=[Picture(draw_grid(images, captions, columns=6), "The three likeliest classes of each.")],
    )


def _pairs(answer: Prediction) -> list[tuple[str, float]]:
    return list(zip(answer.classes, answer.probabilities, strict=True))


STOPS = (
    Stop("Learn to read digits", _digits),
    Stop("Draw a boundary", _spirals),
    Stop("Teach an old network new classes", _textures),
    Stop("Name what is in a picture", _photos),
)
"""The stops, in order."""
