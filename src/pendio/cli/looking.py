"""What there is and what is inside: list, summary, tour."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich import box
from rich.table import Table as RichTable

from pendio.cli.app import Json, app, console, print_json, say
from pendio.errors import InputError

if TYPE_CHECKING:
    from pendio.anatomy.summary import Layer, Summary

__all__ = ["list_", "summary", "tour"]


@app.command
def summary(
    model: str,
    *,
    input_: Annotated[str | None, Parameter(name="--input")] = None,
    depth: int | None = None,
    html: Path | None = None,
    json_: Json = False,
) -> None:
    """List a network's layers: output shapes, parameters, multiply-adds, memory, receptive fields.

    Parameters
    ----------
    model
        A model's name (pendio list models) or a run folder.
    input_
        Shape of an input, as C,H,W; by default the model's own, else 3,32,32.
    depth
        Add up what lies deeper in the module tree than this; by default nothing is added up.
    html
        A file to write the table to as a page.
    """
    from pendio.anatomy.summary import summarize
    from pendio.classification.models import MODELS
    from pendio.recipes import blank
    from pendio.recipes import network as load_network
    from pendio.runs.page import Section, Table, write_page

    if depth is not None and depth < 1:
        raise InputError(f"--depth must be at least 1, got {depth}")
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
    rows = counted.layers if depth is None else counted.to_depth(depth)
    cells = [_summary_row(layer) for layer in rows]
    title = f"{model} on an input of {'×'.join(map(str, shape))}"
    if html is not None:
        write_page(html, title, _totals(counted), [Section("Layers", tables=[Table(_SUMMARY_HEADER, cells)])])
        say(f"wrote {html}")
    if json_:
        print_json({"model": model, **counted.to_dict(), "layers": [asdict(layer) for layer in rows]})
        return
    table = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number, name in enumerate(_SUMMARY_HEADER):
        table.add_column(name, justify="left" if number < 3 else "right", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    print(title)
    console().print(table)
    print(_totals(counted))


_SUMMARY_HEADER = ("layer", "kind", "output", "parameters", "mult-adds", "memory", "sees", "stride", "from")


def _summary_row(layer: "Layer") -> tuple[str, ...]:
    cost = _short(layer.multiply_adds) + (f" + unknown: {', '.join(layer.unknown)}" if layer.unknown else "")
    axes = layer.field.axes if layer.field is not None else ()
    seen = [_alike(values) for values in zip(*((axis.size, axis.stride, axis.first) for axis in axes), strict=True)]
    sees = seen or (["", "", ""] if layer.field is None else ["all", "", ""])
    shape = "×".join(map(str, layer.output))
    return (layer.name, layer.kind, shape, f"{layer.parameters:,}", cost, _bytes(layer.bytes), *sees)


def _alike(values: tuple[int, ...]) -> str:
    """A number for both axes where they agree."""
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))


def _short(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def _bytes(count: int) -> str:
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.1f} kB"


def _totals(counted: "Summary") -> str:
    unknown = f"; not counted, because unknown: {', '.join(counted.unknown)}" if counted.unknown else ""
    return (
        f"parameters {counted.parameters:,}, multiply-adds {counted.multiply_adds:,}{unknown}; "
        f"all outputs together {_bytes(counted.bytes)} an example"
    )


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if len(shape) not in (1, 3) or any(side < 1 for side in shape):
        raise InputError(f"--input must be C,H,W such as 3,224,224, or the number of features; got '{text}'")
    return shape


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
        print_json(rows)
        return
    width = max(len(name) for name in rows)
    for name, line in rows.items():
        print(f"{name:<{width}}  {line}")


def _catalogue(what: str) -> dict[str, str]:
    if what == "tasks":
        return {
            "classify": "tell classes apart: images, points, tables",
            "segment": "say for each pixel what it belongs to: FCN, U-Net",
            "detect": "say what is where, in boxes: YOLOv3, feature pyramids, proposed regions",
            "restyle": "repaint any image in the style of one, in one pass",
            "language": "learn what comes next in a text, to write on: window, RNN, LSTM, TCN, Transformer",
            "translate": "turn one text into another",
            "tag": "tell classes of texts and other sequences apart",
            "qlearn": "learn a table of action values in a world of states",
            "dqn": "learn a network of action values: a deep Q-network",
            "reinforce": "learn a policy from whole episodes",
            "ppo": "learn a policy by small steps; continuous actions too",
        }
    if what == "models":
        from pendio.classification.models import LITE0, MODELS
        from pendio.detection.models import MODELS as DETECTORS
        from pendio.segmentation.models import MODELS as SEGMENTERS

        own = {name: line for name, (line, _) in MODELS.items()}
        lite0 = "EfficientNet-Lite0 with its ImageNet weights, which are installed with pendio"
        families = {
            "window": "sequences: a dense network on the last few steps",
            "rnn, lstm": "sequences: recurrent networks",
            "tcn": "sequences: causal dilated convolutions",
            "transformer": "sequences: attention; the decoder alone, the encoder alone, or both",
            "FOLDER": "GPT-2 (language) with config.json and model.safetensors, to fine-tune",
        }
        others = {"timm:NAME": "any classifier of timm", "torchvision:NAME": "any classifier of torchvision"}
        segmenters = {name: f"segment: {line}" for name, line in SEGMENTERS.items()}
        detectors = {name: f"detect: {line}" for name, line in DETECTORS.items()}
        return (
            own
            | {LITE0: lite0}
            | others
            | segmenters
            | detectors
            | {"FILE.cfg": "detect: a darknet network"}
            | families
        )
    from pendio.data.embedded import EMBEDDED
    from pendio.data.points import POINTS

    own = {name: line for name, (line, _) in EMBEDDED.items()} | {
        name: f"2-D points: {line}" for name, (line, _) in POINTS.items()
    }
    return own | {
        "pydocs": "text of Python's own reference, for language",
        "dates": "dates in 12 languages and how ISO 8601 writes them, for translate",
        "names": "names of countries and languages in 12 languages, and which it is, for tag",
        "adding, copying": "what a network must remember for long, for tag",
        "pixels": "the digits pixel by pixel, for tag",
        "scenes": "digits on photographs with class, box and mask, made on the fly, for segment and detect",
        "FOLDER": "images, one subfolder a class (restyle: as they lie), with or without train/ val/ test/; for segment and "
        "detect, images with PNG masks, or in the form of COCO, Pascal VOC or YOLO",
        "FILE.json": "COCO annotations, for segment and detect",
        "FILE.csv": "image path and label; or a table, with --target COLUMN",
        "FILE.npz": "arrays x and y, or x_train, y_train, x_val, …",
        "FILE.txt": "text, or a folder of texts, for language; a folder a class, for tag",
        "FILE.tsv": "a text, a tab and its translation, for translate; columns text and label, for tag",
        "--env ID": "any Gymnasium environment (CartPole-v1, FrozenLake-v1, Taxi-v4 …), or module:factory of your own",
    }


@app.command
def tour(out: Path = Path("tour")) -> None:
    """See what pendio does: every chapter on embedded data, and one page of results.

    Parameters
    ----------
    out
        The folder to write to; its index.html is the page.
    """
    from pendio.tour.walk import tour as walk

    page = walk(out)
    say(f"open {page}")
