"""From data to a trained network and its use: train, evaluate, predict, report, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from pendio.classification.options import Classify
from pendio.cli.app import (
    Json,
    app,
    console,
    print_json,
    print_metrics,
    say,
    tell_results,
    tell_run,
    tell_skipped,
    train,
)
from pendio.cli.generating import predict_generated
from pendio.cli.playing import evaluate_agents, tell_decisions
from pendio.cli.seeing import evaluate_images, predict_heatmaps, predict_seen
from pendio.cli.writing import Looking, evaluate_sequences, predict_sequences
from pendio.errors import InputError
from pendio.reinforcement.presets import AGENTS
from pendio.restyling.options import RestyleOptions
from pendio.sequences.asking import Asking

if TYPE_CHECKING:
    from pendio.restyling.prediction import Restyled

__all__ = ["classify", "diagnose", "evaluate", "export", "predict", "report", "restyle"]


@train.command
def classify(options: Annotated[Classify, Parameter(name="*")] = Classify()) -> None:  # noqa: B008  (frozen)
    """Train a classifier: on images, points or tables. The run folder it leaves holds weights, curves and a report.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.classification.recipe import classify as recipe

    tell_run(recipe(options))


@train.command
def restyle(options: Annotated[RestyleOptions, Parameter(name="*")]) -> None:
    """Train a network that repaints any image in the style of one, in one pass: pendio predict RUN IMAGE … then does.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.restyling.recipe import restyle as recipe

    tell_run(recipe(options))


@app.command
def evaluate(
    *runs: str,
    data: str | None = None,
    split: Literal["train", "val", "test", "all"] | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    env: str | None = None,
    json_: Json = False,
) -> None:
    """Measure trained runs on held-out data, several classifiers as one ensemble; agents, by letting them play.

    Parameters
    ----------
    runs
        Run folders.
    data
        Other data to measure on, for classifiers with the same class names; by default what the first run was trained on.
    split
        Which examples: by default the test split, or all of --data.
    episodes
        Of agents: how many each plays; by default 100.
    seed
        Of agents: of the first episode; by default 0.
    env
        Of agents: another environment of the same form; needed where a run's own is code of yours (module:factory).
    """
    from pendio.classification.evaluation import evaluate_classifiers
    from pendio.classification.recipe import load_classifier, open_data, run_options
    from pendio.recipes import GENERATORS, SEEING, SEQUENCES
    from pendio.runs.run import Run

    if not runs:
        raise InputError("give one run folder or more: pendio evaluate RUN …")
    opened = [Run.open(folder) for folder in runs]
    if any(run.recipe in AGENTS for run in opened):
        if not all(run.recipe in AGENTS for run in opened) or data is not None or split is not None:
            raise InputError("agents are measured by playing, without --data and --split, and apart from other runs")
        evaluate_agents(opened, 100 if episodes is None else episodes, seed or 0, env, json_)
        return
    if (episodes, seed, env) != (None, None, None):
        raise InputError("--episodes, --seed and --env are for runs of agents")
    alone = next((run for run in opened if run.recipe in ("restyle", *SEEING, *GENERATORS, *SEQUENCES)), None)
    if alone is not None:
        if len(opened) > 1:
            raise InputError(f"a run of 'train {alone.recipe}' is measured alone: give one run folder")
        (evaluate_sequences if alone.recipe in SEQUENCES else evaluate_images)(alone, data, split, json_)
        return
    tasks = [load_classifier(run) for run in opened]
    examples = open_data(run_options(opened[0]), data)
    which = split or ("test" if data is None else "all")
    evaluation = evaluate_classifiers(tasks, examples, examples.splits(which))
    result = {"runs": list(runs), "data": examples.name, "split": which, **evaluation.to_dict()}
    if json_:
        print_json(result)
        return
    print(f"{' + '.join(runs)} on {examples.name}: {which} split, {len(evaluation.targets)} examples")
    print_metrics(evaluation.metrics)
    classes = Table("class", "precision", "recall", "F1", "examples")
    for name, row in result["classes"].items():
        values = (f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        classes.add_row(name, *values, str(row["examples"]))
    console().print(classes)


@app.command
def predict(
    network: str,
    *inputs: str,
    top: int | None = None,
    out: Path | None = None,
    heatmap: str | None = None,
    scale: float | None = None,
    threshold: float | None = None,
    tile: int | None = None,
    attention: Annotated[bool, Parameter(negative="")] = False,
    look: Literal["attention", "gates", "hidden", "inputs"] | None = None,
    layer: int | None = None,
    head: int | None = None,
    beams: int | None = None,
    penalty: float | None = None,
    json_: Json = False,
) -> None:
    """Say what is in images or texts, and where; translate, repaint images, or say what an agent would do.

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME, or a darknet .cfg file with its .weights beside it.
    inputs
        Image files, folders of them, or names of embedded photos (photos: all); for tables, points and agents, CSV files;
        for runs on sequences, texts. Runs of segment, detect and restyle take GIFs and videos too.
    top
        How many classes to print; by default 5.
    out
        A folder to write predictions.csv to, or pictures, which go by default to restyled/, segmented/, detected/,
        heatmaps/, strange/ or, of attention, to looking/.
    heatmap
        Of classifiers: draw where in images of any size they see this class.
    scale
        Of --heatmap: how many of the network's windows long the shorter side is made; by default 2. Small things need more.
    threshold
        Of detectors: the least score that is shown; by default 0.25.
    tile
        Of segmenters: see images in tiles of this side, where they are too large to be seen at once.
    attention
        Of runs on sequences: draw what the network looked at, or what its gates did.
    look
        The same, and what: attention, gates, hidden states, or on which inputs the answer depends.
    layer
        Of --attention and --look: which layer, from 0 on; by default the last.
    head
        Of --attention: which head, from 0 on; by default all of the layer's.
    beams
        Of translators: how many beginnings of a translation to keep; by default 1.
    penalty
        Of --beams: 0 prefers short translations, 1, the default, does not.
    """
    from pendio.classification.prediction import Prediction
    from pendio.classification.prediction import predict as predictions
    from pendio.recipes import GENERATORS, SEEING, SEQUENCES
    from pendio.recipes import network as load_network
    from pendio.runs.run import Run

    if not inputs:
        raise InputError("give one input or more: pendio predict NETWORK INPUT …")
    looking = Looking(look, layer, head) if attention or look else None
    if (layer, head) != (None, None) and looking is None:
        raise InputError("--layer and --head say what --attention shall draw: add --attention")
    if Path(network).is_dir() and Run.open(network).recipe in SEQUENCES:
        predict_sequences(Run.open(network), inputs, Asking(top, beams, penalty), looking, out, json_)
        return
    if (beams, penalty) != (None, None):
        raise InputError("--beams and --penalty are for runs of 'train translate'")
    seen = network.endswith(".cfg") or (Path(network).is_dir() and Run.open(network).recipe in SEEING)
    if heatmap is not None:
        if seen or (top, threshold, tile) != (None, None, None):
            raise InputError("--heatmap is for classifiers, and takes --scale and --out alone")
        predict_heatmaps(network, inputs, heatmap, out, scale, json_)
        return
    if scale is not None:
        raise InputError("--scale is for --heatmap")
    if seen and not attention:
        if top is not None:
            raise InputError("--top is for classifiers; runs of segment and detect take --threshold and --tile")
        predict_seen(network, inputs, out, threshold, tile, json_)
        return
    if (threshold, tile) != (None, None):
        raise InputError("--threshold is for runs of 'train detect', --tile for those of 'train segment'")
    if attention:
        raise InputError(
            "--attention is for runs of language, translate and tag; images are looked into by 'pendio visualize'"
        )
    if Path(network).is_dir() and Run.open(network).recipe in AGENTS:
        if top is not None or out is not None:
            raise InputError("--top and --out are for other runs than those of agents")
        tell_decisions(network, inputs, json_)
        return
    if Path(network).is_dir() and Run.open(network).recipe in GENERATORS:
        if top is not None:
            raise InputError("--top is for classifiers; a run of 'train autoencode' gives scores")
        predict_generated(Run.open(network), inputs, out, json_)
        return
    if Path(network).is_dir() and Run.open(network).recipe == "restyle":
        if top is not None:
            raise InputError("--top is for classifiers; a run of 'train restyle' repaints images")
        _predict_restyled(network, inputs, Path("restyled") if out is None else out, json_)
        return
    top = 5 if top is None else top
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
        print_json([prediction.to_dict() for prediction in made])
    if out is not None:
        _write_predictions(out, made)
    tell_skipped(failures, bool(made))


def _predict_restyled(run: str, inputs: tuple[str, ...], out: Path, json_: bool) -> None:
    from pendio.recipes import load
    from pendio.restyling.prediction import restyle_inputs

    tell_results(restyle_inputs(load(run), inputs, out), _repainted, json_)


def _repainted(result: "Restyled") -> str:
    height, width = result.size
    frames = f", {result.frames} frames" if result.frames > 1 else ""
    return f"wrote {result.file} ({width}×{height}{frames})"


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
    say(f"wrote {folder / 'predictions.csv'}")


@app.command
def report(run: str, *, env: str | None = None) -> None:
    """Rebuild a run's report.html.

    Parameters
    ----------
    run
        A run folder.
    env
        Of an agent whose environment is code of yours: module:factory, as when it was trained.
    """
    from pendio.recipes import report as rebuild

    opened = rebuild(run, env)
    print(f"wrote {opened.folder}/report.html")


@app.command
def export(
    run: str,
    *,
    to: Literal["onnx", "torch-export", "safetensors", "darknet"],
    out: Path | None = None,
    json_: Json = False,
) -> None:
    """Write a network to a file for other programs, and check that it computes the same.

    Networks answer in logits: of classes, or of the class of each pixel. Detectors answer in boxes and scores of all places,
    in pixels; the other program suppresses what overlaps. darknet's form is for detectors with darknet's layers.

    Parameters
    ----------
    run
        A run folder, or a published network.
    to
        The format.
    out
        The file to write; by default model.onnx, model.pt2, model.safetensors or model.weights in the run folder, or here.
        Beside a .weights file stand the .cfg and .names files that go with it.
    """
    from pendio.recipes import export as write
    from pendio.runs.export import FORMATS

    parent = Path(run) if Path(run).is_dir() else Path()
    path = out or parent / f"model{FORMATS.get(to, '.weights')}"
    if not path.parent.is_dir():
        raise InputError(f"there is no folder '{path.parent}' to write to")
    difference = write(run, to, path)
    if json_:
        print_json({"file": str(path), "format": to, "bytes": path.stat().st_size, "max_difference": difference})
    else:
        print(f"wrote {path} ({path.stat().st_size:,} bytes); its outputs differ by at most {difference:.2g}")


@app.command
def diagnose(run: str, *, json_: Json = False) -> None:
    """Say why training went as it did: a sentence, the evidence, a fix, and the option that applies it.

    Parameters
    ----------
    run
        A run folder.
    """
    from pendio.recipes import diagnose as find

    found = find(run)
    if json_:
        print_json([finding.to_dict() for finding in found])
        return
    if not found:
        print(f"{run}: healthy; nothing noticed")
    for finding in found:
        print(f"{finding.kind}: {finding.sentence}")
        print(f"  evidence: {finding.evidence}")
        print(f"  what helps: {finding.fix}")
        print(f"  option: {finding.flag}")
