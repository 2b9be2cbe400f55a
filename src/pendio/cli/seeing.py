"""What is where: train segment and detect, convert annotations, and what evaluate and predict do for such runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json, print_metrics, say, tell_results, tell_run, train
from pendio.detection.options import DetectOptions
from pendio.errors import InputError
from pendio.segmentation.options import SegmentOptions

if TYPE_CHECKING:
    from pendio.data.images import ImageError
    from pendio.detection.prediction import Detected
    from pendio.runs.run import Run
    from pendio.segmentation.heatmaps import Heatmap
    from pendio.segmentation.prediction import Segmented

__all__ = ["Seen", "convert", "detect", "evaluate_images", "predict_heatmaps", "predict_seen", "segment"]


_NAMED = 8
"""Classes or objects of an image that are named in its line."""


@train.command
def segment(options: Annotated[SegmentOptions, Parameter(name="*")] = SegmentOptions()) -> None:  # noqa: B008  (frozen)
    """Train a network that says for each pixel what it belongs to. The run folder holds weights, curves and a report.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.segmentation.recipe import segment as recipe

    tell_run(recipe(options))


@train.command
def detect(options: Annotated[DetectOptions, Parameter(name="*")] = DetectOptions()) -> None:  # noqa: B008  (frozen)
    """Train a network that says what is where, in boxes. The run folder holds weights, curves and a report.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.detection.recipe import detect as recipe

    tell_run(recipe(options))


@app.command
def convert(
    data: str,
    *,
    to: Literal["coco", "voc", "yolo", "masks"],
    out: Path,
    images: Path | None = None,
    outlines: Annotated[bool, Parameter(negative="")] = False,
    most: int | None = None,
    json_: Json = False,
) -> None:
    """Write annotated images in another form, the images too: COCO JSON, Pascal VOC XML, YOLO txt, or PNG masks.

    Parameters
    ----------
    data
        scenes, a COCO JSON file, or a folder in the form of COCO, Pascal VOC, YOLO or PNG masks.
    to
        The form to write.
    out
        A folder that is empty or not there: nothing is overwritten.
    images
        The folder of the images, where a COCO JSON file does not lie beside them.
    outlines
        Of yolo: write polygons instead of boxes, where there are outlines.
    most
        How many images of each split to convert at most; by default all.
    """
    from pendio.data.annotations.convert import convert as write

    summary = write(data, to, out, images=images, outlines=outlines, most=most)
    if json_:
        print_json({"out": str(out), "format": to, "images": summary.images, "objects": summary.objects,
                    "classes": list(summary.classes), "findings": [item.message for item in summary.findings]})  # fmt: skip
        return
    counts = ", ".join(f"{count} {split}".strip() for split, count in summary.images.items())
    print(
        f"wrote {out} in the form of {to}: {counts} images, {summary.objects} objects, {len(summary.classes)} classes"
    )
    for finding in summary.findings:
        say(f"noticed: {finding.message}")


def evaluate_images(run: "Run", data: str | None, split: str | None, json_: bool) -> None:
    """Measure a run of a task on images or tables, but for classifiers, of which there may be several."""
    from pendio.descent.loop import evaluate as measure
    from pendio.recipes import opened

    task, examples = opened(run, data)
    known = getattr(task, "classes", ()) or examples.classes
    if tuple(examples.classes) != tuple(known):
        raise InputError(f"data '{examples.name}' has the classes {', '.join(examples.classes[:10])}, and the run knows "
                         f"{', '.join(known[:10])}: they must be the same in the same order")  # fmt: skip
    which = split or ("test" if data is None else "all")
    splits = examples.splits(which)
    metrics = measure(task, *splits)
    count = sum(len(part) for part in splits)
    rows = task.by_class() if hasattr(task, "by_class") else {}
    if json_:
        print_json({"runs": [str(run.folder)], "data": examples.name, "split": which, "examples": count, **metrics}
                   | ({"classes": rows} if rows else {}))  # fmt: skip
        return
    print(f"{run.folder} on {examples.name}: {which} split, {count} examples")
    print_metrics(metrics)
    if rows:
        names = list(next(iter(rows.values())))
        table = Table("class", *names)
        for name, row in rows.items():
            table.add_row(name, *(f"{row[key]:.4f}" for key in names))
        console().print(table)


def predict_seen(
    network: str, inputs: Sequence[str], out: Path | None, threshold: float | None, tile: int | None, json_: bool
) -> None:
    """Draw masks or boxes for each input.

    Args:
        network: a run folder of segment or detect, or a darknet .cfg file with its .weights beside it.
        inputs: images, folders, GIFs, videos, names of embedded photographs.
        out: the folder to write to.
        threshold: of detectors, the least score that is shown.
        tile: of segmenters, the side of the tiles in which large images are seen.
        json_: print results as JSON.
    """
    from pendio.recipes import load
    from pendio.runs.run import Run

    task = load(network)
    if Path(network).is_dir() and Run.open(network).recipe == "segment":
        from pendio.segmentation.prediction import predict_masks

        if threshold is not None:
            raise InputError("--threshold is for runs of 'train detect'")
        tell_results(predict_masks(task, inputs, out or Path("segmented"), tile), _areas, json_)
        return
    from pendio.detection.prediction import detect_inputs
    from pendio.detection.task import Detector

    if tile is not None:
        raise InputError("--tile is for runs of 'train segment'")
    finder = task.hastened() if isinstance(task, Detector) else task
    least = 0.25 if threshold is None else threshold
    tell_results(detect_inputs(finder, inputs, out or Path("detected"), least), _objects, json_)


def _areas(result: "Segmented") -> str:
    shares = ", ".join(f"{name} {share:.1%}" for name, share in list(result.shares.items())[:_NAMED])
    mask = f"{result.mask} and " if result.mask else ""
    return f"{shares}; wrote {mask}{result.overlay}"


def _objects(result: "Detected") -> str:
    names = [f"{found['class']} {found['score']:.2f}" for found in result.objects[:_NAMED]]
    more = len(result.objects) - len(names)
    found = ", ".join(names) + (f" and {more} more" if more else "") if names else "nothing found"
    return f"{found}; wrote {result.file}"


def predict_heatmaps(
    network: str, inputs: Sequence[str], name: str, out: Path | None, scale: float | None, json_: bool
) -> None:
    """Where a classifier sees a class: a picture for each image, and the place where it is surest."""
    from pendio.data.images import ImageError
    from pendio.data.inputs import named_images
    from pendio.data.outputs import Places
    from pendio.pictures.png import image_png
    from pendio.recipes import network as load_network
    from pendio.runs.files import replacing
    from pendio.segmentation.heatmaps import heatmap, overlay

    classifier = load_network(network)
    places = Places(out or Path("heatmaps"))

    def seen() -> "Iterator[Seen | ImageError]":
        for title, image in named_images(inputs, grey=classifier.shape[0] == 1):
            if isinstance(image, ImageError):
                yield image
                continue
            found = heatmap(classifier, image, name, scale=scale)
            place = places.make(Path(title).name, ".png", Path(title))
            with replacing(place) as file:
                file.write(image_png(overlay(image, found.map)))
            yield Seen(title, place, found)

    tell_results(seen(), _place, json_)


@dataclass(frozen=True)
class Seen:
    """Where a class was seen in an input, and the file that shows it."""

    input: str
    file: Path
    found: "Heatmap"

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {"input": self.input, **self.found.to_dict(), "file": str(self.file)}


def _place(result: Seen) -> str:
    x, y = result.found.peak
    return f"{result.found.name} most of all at x {x}, y {y} ({result.found.score:.3f}); wrote {result.file}"
