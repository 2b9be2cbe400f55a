"""Networks that tell classes apart."""

import time
from pathlib import Path

import torch

from pendio.anatomy.summary import summarize
from pendio.classification.models import blank
from pendio.classification.prediction import Prediction, predict
from pendio.classification.recipe import load_classifier
from pendio.data.embedded import PHOTOS, photo
from pendio.data.streams import frame
from pendio.pictures.curves import draw_curves
from pendio.pictures.grids import draw_grid
from pendio.recipes import network, train
from pendio.runs.page import Picture, Section, Table
from pendio.tour.stop import held_out_accuracy, picture

__all__ = ["anatomy", "digits", "photos", "spirals", "textures"]


def anatomy(out: Path) -> Section:
    """Networks counted without being run."""
    rows = []
    for name in ("torchvision:vgg16", "timm:resnet18", "timm:vit_base_patch16_224", "efficientnet-lite0"):
        module, shape = blank(name, None)
        counted = summarize(module, shape)
        rows.append((name, f"{counted.parameters:,}", f"{counted.multiply_adds:,}", f"{counted.bytes / 2**20:.0f} MB"))
    return Section(
        "Count before you train",
        text="Layers, shapes, parameters, operations, memory and receptive fields of any network, without computing it.",
        code="pendio summary torchvision:vgg16\npendio summary timm:resnet18 --depth 1",
        tables=[Table(("network", "parameters", "multiply-adds", "outputs"), rows)],
    )


def digits(out: Path) -> Section:
    """Three networks read handwritten digits."""
    rows, runs = [], {}
    for model in ("mlp", "lenet", "cnn"):
        start = time.perf_counter()
        runs[model] = train("classify", data="digits", model=model, progress=False, out=str(out / f"digits-{model}"))
        parameters = sum(p.numel() for p in load_classifier(runs[model]).parameters())
        seconds = f"{time.perf_counter() - start:.1f} s"
        rows.append((model, f"{parameters:,}", f"{held_out_accuracy(runs[model]):.2%}", seconds))
    return Section(
        "Learn to read digits",
        text="Three networks from scratch on 1,259 handwritten digits of 8×8 pixels, measured on 359 others. The run folder "
        "each leaves has a report with everything below and more.",
        code="pendio train classify --data digits --model cnn",
        tables=[Table(("model", "parameters", "test accuracy", "time"), rows)],
        pictures=[
            Picture(draw_curves(runs["cnn"].history(), "accuracy"), "How the CNN learned."),
            picture(runs["cnn"], "worst", "The test digits the CNN found hardest: red where it was wrong."),
        ],
    )


def spirals(out: Path) -> Section:
    """A boundary between two arms."""
    run = train("classify", data="spirals", model="mlp", progress=False, out=str(out / "spirals"), epochs=60, lr=5e-3)
    return Section(
        "Draw a boundary",
        text="A multi-layer perceptron bends a boundary between two spiral arms that no straight line could part.",
        code="pendio train classify --data spirals --model mlp --epochs 60 --lr 5e-3",
        pictures=[picture(run, "regions", f"Test accuracy {held_out_accuracy(run):.1%}. Paler where less sure.")],
    )


def textures(out: Path) -> Section:
    """A new head on a pretrained network."""
    run = train(
        "classify", data="textures", model="efficientnet-lite0", freeze=True, progress=False, out=str(out / "textures")
    )
    return Section(
        "Teach an old network new classes",
        text="EfficientNet-Lite0 has seen a million photographs of other things. Its body stays as it is; what it makes of "
        "each patch of brick, grass and gravel is computed once, and a new head learns from that in seconds.",
        code="pendio train classify --data textures --model efficientnet-lite0 --freeze",
        pictures=[
            picture(run, "data", f"Training patches. Test accuracy {held_out_accuracy(run):.1%} on parts never seen."),
        ],
    )


def photos(out: Path) -> Section:
    """A pretrained network names photographs."""
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
