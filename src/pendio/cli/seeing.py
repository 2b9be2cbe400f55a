"""What is where: train segment and detect, convert annotations, and what evaluate and predict do for such runs."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json, print_metrics, say, tell_skipped, train
from pendio.detection.options import DetectOptions
from pendio.errors import InputError
from pendio.segmentation.options import SegmentOptions

if TYPE_CHECKING:
    from pendio.detection.prediction import Detected
    from pendio.runs.run import Run
    from pendio.segmentation.prediction import Segmented

__all__ = ["convert", "detect", "evaluate_seen", "predict_heatmaps", "predict_seen", "segment"]


_NAMED = 8
"""Classes or objects of an image that are named in its line."""


@train.command
def segment(options: Annotated[SegmentOptions, Parameter(name="*")] = SegmentOptions()) -> None:  # noqa: B008  (frozen)
    """Train a network that says for each pixel what it belongs to. The run folder holds weights, curves and a report.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.segmentation.recipe import segment as recipe

    run = recipe(options)
    say(f"run folder: {run.folder}   report: {run.folder}/report.html")


@train.command
def detect(options: Annotated[DetectOptions, Parameter(name="*")] = DetectOptions()) -> None:  # noqa: B008  (frozen)
    """Train a network that says what is where, in boxes. The run folder holds weights, curves and a report.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.detection.recipe import detect as recipe

    run = recipe(options)
    say(f"run folder: {run.folder}   report: {run.folder}/report.html")


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


def evaluate_seen(run: "Run", data: str | None, split: str | None, json_: bool) -> None:
    """Measure a run of segment or detect."""
    from pendio.descent.loop import evaluate as measure

    task, examples = _opened(run, data)
    if tuple(examples.classes) != tuple(task.classes):
        raise InputError(f"data '{examples.name}' has the classes {', '.join(examples.classes[:10])}, and the run knows "
                         f"{', '.join(task.classes[:10])}: they must be the same in the same order")  # fmt: skip
    which = split or ("test" if data is None else "all")
    everything = [examples.train, examples.val, *([examples.test] if examples.test else [])]
    splits = everything if which == "all" else [examples.split(which)]
    metrics = measure(task, *splits)
    count = sum(len(part) for part in splits)
    rows = task.by_class()
    if json_:
        print_json({"runs": [str(run.folder)], "data": examples.name, "split": which, "examples": count, **metrics,
                    "classes": rows})  # fmt: skip
        return
    print(f"{run.folder} on {examples.name}: {which} split, {count} images")
    print_metrics(metrics)
    if rows:
        names = list(next(iter(rows.values())))
        table = Table("class", *names)
        for name, row in rows.items():
            table.add_row(name, *(f"{row[key]:.4f}" if isinstance(row[key], float) else str(row[key]) for key in names))
        console().print(table)


def _opened(run: "Run", data: str | None) -> tuple[Any, Any]:
    if run.recipe == "segment":
        from pendio.segmentation import recipe as segmentation

        return segmentation.load_segmenter(run), segmentation.open_data(segmentation.run_options(run), data)
    from pendio.detection import recipe as detection

    task = detection.load_detector(run)
    return task, detection.open_data(detection.run_options(run), data)


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
        _tell(predict_masks(task, inputs, out or Path("segmented"), tile), _areas, json_)
        return
    from pendio.detection.prediction import detect_inputs
    from pendio.detection.task import Detector

    if tile is not None:
        raise InputError("--tile is for runs of 'train segment'")
    finder = task.hastened() if isinstance(task, Detector) else task
    least = 0.25 if threshold is None else threshold
    _tell(detect_inputs(finder, inputs, out or Path("detected"), least), _objects, json_)


def _tell(results: Iterable[Any], said: Callable[[Any], str], json_: bool) -> None:
    made: list[Any] = []
    failures: list[InputError] = []
    for result in results:
        if isinstance(result, InputError):
            failures.append(result)
            continue
        made.append(result)
        if not json_:
            print(f"{result.input}: {said(result)}")
    if json_:
        print_json([result.to_dict() for result in made])
    tell_skipped(failures, bool(made))


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
    made: list[dict[str, Any]] = []
    failures: list[InputError] = []
    for title, image in named_images(inputs, grey=classifier.shape[0] == 1):
        if isinstance(image, ImageError):
            failures.append(image)
            continue
        found = heatmap(classifier, image, name, scale=scale)
        place = places.make(Path(title).name, ".png", Path(title))
        with replacing(place) as file:
            file.write(image_png(overlay(image, found.map)))
        x, y = found.peak
        made.append({"input": title, **found.to_dict(), "file": str(place)})
        if not json_:
            print(f"{title}: {found.name} most of all at x {x}, y {y} ({found.score:.3f}); wrote {place}")
    if json_:
        print_json(made)
    tell_skipped(failures, bool(made))
