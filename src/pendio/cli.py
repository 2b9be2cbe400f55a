"""The command line. Each command imports what it needs when it runs: ``pendio --help`` never loads torch."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import cyclopts
import yaml
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from pendio import __version__
from pendio.classification.options import Classify
from pendio.errors import InputError

__all__ = ["app", "main"]

app = App(
    name="pendio",
    help="Train neural networks, look into them, and check them.",
    version=__version__,
    help_on_error=False,
    suppress_keyboard_interrupt=False,  # main() says how to go on
)
train = App(name="train", help="Train a network on your data.")
app.command(train)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]


@train.command
def classify(options: Annotated[Classify, Parameter(name="*")] = Classify()) -> None:  # noqa: B008  (frozen)
    """Train a classifier: on images, points or tables. The run folder it leaves holds weights, curves and a report.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.classification.recipe import classify as recipe

    run = recipe(options)
    _say(f"run folder: {run.folder}   report: {run.folder}/report.html")


@app.command
def evaluate(
    *runs: str,
    data: str | None = None,
    split: Literal["train", "val", "test", "all"] | None = None,
    json_: Json = False,
) -> None:
    """Measure trained runs on held-out data; several runs are measured as one ensemble.

    Parameters
    ----------
    runs
        Run folders.
    data
        Other data to measure on, with the same class names; by default what the first run was trained on.
    split
        Which examples: by default the test split, or all of --data.
    """
    from pendio.classification.evaluation import evaluate_classifiers
    from pendio.classification.recipe import load_classifier, open_data, run_options
    from pendio.runs.run import Run

    if not runs:
        raise InputError("give one run folder or more: pendio evaluate RUN …")
    opened = [Run.open(folder) for folder in runs]
    tasks = [load_classifier(run) for run in opened]
    examples = open_data(run_options(opened[0]), data)
    which = split or ("test" if data is None else "all")
    splits = {"all": [examples.train, examples.val, *([examples.test] if examples.test else [])]}
    evaluation = evaluate_classifiers(tasks, examples, splits.get(which) or [examples.split(which)])
    result = {"runs": list(runs), "data": examples.name, "split": which, **evaluation.to_dict()}
    if json_:
        _print_json(result)
        return
    print(f"{' + '.join(runs)} on {examples.name}: {which} split, {len(evaluation.targets)} examples")
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in evaluation.metrics.items():
        table.add_row(name, f"{value:.4f}")
    _out().print(table)
    classes = Table("class", "precision", "recall", "F1", "examples")
    for name, row in result["classes"].items():
        values = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        classes.add_row(name, *values, str(row["examples"]))
    _out().print(classes)


@app.command
def predict(network: str, *inputs: str, top: int = 5, out: Path | None = None, json_: Json = False) -> None:
    """Say what is in images.

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME.
    inputs
        Image files, folders of them, or names of embedded photos (photos: all); for tables and points, CSV files.
    top
        How many classes to print.
    out
        A folder to write predictions.csv to.
    """
    from pendio.classification.prediction import Prediction
    from pendio.classification.prediction import predict as predictions
    from pendio.recipes import network as load_network

    if not inputs:
        raise InputError("give one input or more: pendio predict NETWORK INPUT …")
    if top < 1:
        raise InputError(f"--top must be at least 1, got {top}")
    made, failures = [], []
    for answer in predictions(load_network(network), inputs, top):
        if not isinstance(answer, Prediction):
            failures.append(answer)
            continue
        made.append(answer)
        if not json_:
            pairs = zip(answer.classes, answer.probabilities, strict=True)
            print(f"{answer.input}: {', '.join(f'{name} {value:.3f}' for name, value in pairs)}")
    if json_:
        _print_json([prediction.to_dict() for prediction in made])
    if out is not None:
        _write_predictions(out, made)
    for failure in failures:
        _say(f"skipped: {failure}")
    if failures and not made:
        raise InputError(f"none of {len(failures)} images could be read")


def _write_predictions(folder: Path, made: list[Any]) -> None:
    import csv
    import io

    from pendio.runs.files import write_text, writing

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["input", "class", "probability"])
    for prediction in made:
        writer.writerow([prediction.input, prediction.classes[0], f"{prediction.probabilities[0]:.6f}"])
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "predictions.csv", text.getvalue())
    _say(f"wrote {folder / 'predictions.csv'}")


@app.command
def summary(model: str, input_: Annotated[str | None, Parameter(name="--input")] = None, json_: Json = False) -> None:
    """List a network's layers: output shapes, parameters, multiply-adds.

    Parameters
    ----------
    model
        A model's name (pendio list models) or a run folder.
    input_
        Shape of an input, as C,H,W; by default the model's own, else 3,32,32.
    """
    from pendio.anatomy.summary import summarize
    from pendio.classification.models import MODELS, blank
    from pendio.recipes import network as load_network

    shape = _shape(input_) if input_ else None
    if Path(model).is_dir():
        network = load_network(model)
        module, shape = network.module, shape or network.shape
    else:
        module, own = blank(model, shape or ((3, 32, 32) if model in MODELS else None))
        shape = shape or own
    try:
        counted = summarize(module, shape)
    except ValueError as error:
        raise InputError(str(error)) from error
    if json_:
        _print_json({"model": model, **counted.to_dict()})
        return
    table = Table("layer", "kind", "output")
    print(f"{model} on an input of {'×'.join(map(str, shape))}")
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    for layer in counted.layers:
        output = "×".join(map(str, layer.output))
        table.add_row(layer.name, layer.kind, output, f"{layer.parameters:,}", f"{layer.multiply_adds:,}")
    _out().print(table)
    print(f"parameters {counted.parameters:,}, multiply-adds {counted.multiply_adds:,}")


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) not in (1, 3) or any(side < 1 for side in shape):
        raise InputError(f"--input must be C,H,W such as 3,224,224, or the number of features; got '{text}'")
    return shape


@app.command
def export(
    run: str, *, to: Literal["onnx", "torch-export", "safetensors"], out: Path | None = None, json_: Json = False
) -> None:
    """Write a network to a file for other programs, and check that it computes the same.

    Parameters
    ----------
    run
        A run folder, or a published network.
    to
        The format.
    out
        The file to write; by default model.onnx, model.pt2 or model.safetensors in the run folder, or here.
    """
    from pendio.recipes import network as load_network
    from pendio.runs.export import FORMATS
    from pendio.runs.export import export as write

    parent = Path(run) if Path(run).is_dir() else Path()
    path = out or parent / f"model{FORMATS[to]}"
    if not path.parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}' to write to")
    difference = write(load_network(run), to, path)
    if json_:
        _print_json({"file": str(path), "format": to, "bytes": path.stat().st_size, "max_difference": difference})
    else:
        print(f"wrote {path} ({path.stat().st_size:,} bytes); its logits differ by at most {difference:.2g}")


@app.command
def report(run: str) -> None:
    """Rebuild a run's report.html.

    Parameters
    ----------
    run
        A run folder.
    """
    from pendio.classification.evaluation import write_report
    from pendio.classification.recipe import load_classifier, open_data, run_options
    from pendio.runs.run import Run

    opened = Run.open(run)
    write_report(opened, load_classifier(opened), open_data(run_options(opened)))
    print(f"wrote {opened.folder}/report.html")


@app.command(name="list")
def list_(what: Literal["tasks", "models", "data"], json_: Json = False) -> None:
    """Say what there is, a line each.

    Parameters
    ----------
    what
        tasks, models or data.
    """
    rows = _catalogue(what)
    if json_:
        _print_json(rows)
        return
    width = max(len(name) for name in rows)
    for name, line in rows.items():
        print(f"{name:<{width}}  {line}")


def _catalogue(what: str) -> dict[str, str]:
    if what == "tasks":
        return {"classify": "tell classes apart: images, points, tables"}
    if what == "models":
        from pendio.classification.models import LITE0, MODELS

        own = {name: line for name, (line, _) in MODELS.items()}
        lite0 = "EfficientNet-Lite0 with its ImageNet weights, which are installed with pendio"
        others = {"timm:NAME": "any classifier of timm", "torchvision:NAME": "any classifier of torchvision"}
        return own | {LITE0: lite0} | others
    from pendio.data.embedded import EMBEDDED
    from pendio.data.points import POINTS

    own = {name: line for name, (line, _) in EMBEDDED.items()} | {
        name: f"2-D points: {line}" for name, (line, _) in POINTS.items()
    }
    return own | {
        "FOLDER": "images, one subfolder a class, with or without train/ val/ test/",
        "FILE.csv": "image path and label; or a table, with --target COLUMN",
        "FILE.npz": "arrays x and y, or x_train, y_train, x_val, …",
    }


@app.command
def tour(out: Path = Path("tour")) -> None:
    """See what pendio does: every chapter on embedded data, and one page of results.

    Parameters
    ----------
    out
        The folder to write to; its index.html is the page.
    """
    from pendio.tour import tour as walk

    page = walk(out)
    _say(f"open {page}")


def _out() -> Console:
    return Console(highlight=False)


def _say(text: str) -> None:
    """A line for people, beside the result."""
    print(text, file=sys.stderr)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _fail(text: str) -> NoReturn:
    print(f"pendio: {' '.join(text.split())}", file=sys.stderr)
    raise SystemExit(2)


def _take_config(arguments: list[str]) -> list[str]:
    """The arguments without ``--config FILE``, whose options become the defaults of ``train``.

    ``--resume --out RUN`` takes the run's own config as if it were named.
    """
    path = _option(arguments, "--config")
    rest = [text for text in arguments if not text.startswith("--config=")]
    if "--config" in rest:
        place = rest.index("--config")
        del rest[place : place + 2]
    if path is None and "--resume" in rest:
        own = Path(_option(rest, "--out") or "") / "config.yaml"
        path = str(own) if own.is_file() else None
    if path is not None:
        train.config = [cyclopts.config.Dict(_config_options(Path(path)), use_commands_as_keys=False, source=path)]
    return rest


def _option(arguments: list[str], name: str) -> str | None:
    """What is given as ``name VALUE`` or ``name=VALUE``; an empty text where the value is missing."""
    for number, text in enumerate(arguments):
        if text == name:
            return (arguments[number + 1 :] or [""])[0]
        if text.startswith(f"{name}="):
            return text.partition("=")[2]
    return None


def _config_options(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"config '{path}' cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"config '{path}' is no YAML: {' '.join(str(error).split())}") from error
    if isinstance(content, dict) and isinstance(content.get("options"), dict):
        content = {**content["options"], **(content.get("plan") or {})}
    if not isinstance(content, dict):
        raise InputError(f"config '{path}' holds no options; expected name: value lines, or a run's config.yaml")
    return {str(name).replace("_", "-"): value for name, value in content.items() if value is not None}


def main(arguments: list[str] | None = None) -> None:
    """Run a command. Exits with 0 when done, 2 when the input is wrong, 130 when interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        train.config = ()
        if given[:1] == ["train"]:
            given = _take_config(given)
        app(given, exit_on_error=False, print_error=False)
    except InputError as error:
        _fail(str(error))
    except cyclopts.CycloptsError as error:
        cause = error.__cause__
        _fail(str(cause) if isinstance(cause, InputError) else str(error))
    except KeyboardInterrupt as stop:
        folder = getattr(stop, "folder", None)
        again = f"; go on with: pendio train classify --resume --out {folder}" if folder else ""
        print(f"pendio: interrupted{': saved' if folder else ''}{again}", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: that is no failure.
        sys.stderr.close()
        raise SystemExit(0) from None
