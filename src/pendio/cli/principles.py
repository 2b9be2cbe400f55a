"""First principles: verify, perceptron, approximate, descend, find-lr."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich import box
from rich.table import Table

from pendio.classification.options import Classify
from pendio.cli.app import Json, app, console, print_json, say
from pendio.errors import InputError

__all__ = ["approximate", "descend", "find_lr", "perceptron", "verify"]


@app.command
def verify(*names: str, json_: Json = False) -> None:
    """Check methods against their exact truths: measured, expected, tolerance. Exits with 1 if one fails.

    Parameters
    ----------
    names
        Checks, or what their names begin with; all by default.
    """
    from pendio.exact.verify import verify as run

    rows = []
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("name", "what is exact about it", "measured", "expected", "tolerance", ""):
        table.add_column(name, justify="right" if name in ("measured", "expected", "tolerance") else "left")
    for row in run(names):
        rows.append(row)
        mark = "ok" if row.passed else "[bold red]FAILED[/]"
        expected = f"{'≤ ' if row.relation == '≤' else ''}{row.expected:.10g}"
        table.add_row(row.name, row.about, f"{row.measured:.10g}", expected, f"{row.tolerance:g}", mark)
    failed = [row.name for row in rows if not row.passed]
    if json_:
        print_json([row.to_dict() for row in rows])
    else:
        console().print(table)
        told = f"failed: {', '.join(failed)}" if failed else "all passed"
        print(f"{len(rows)} checks in {sum(row.seconds for row in rows):.1f} s: {told}")
    if failed:
        raise SystemExit(1)


@app.command
def perceptron(data: str = "nand", *, target: str | None = None, json_: Json = False) -> None:
    """Teach one neuron by the perceptron learning rule, or prove that no hyperplane separates the classes.

    Parameters
    ----------
    data
        and, or, nand or xor; or points or a table of two classes (pendio list data).
    target
        The column of a CSV table to predict.
    """
    import torch

    from pendio.data.opening import open as open_data
    from pendio.neurons.gates import GATES, SQUARE
    from pendio.neurons.perceptron import learn, prove

    if data in GATES:
        inputs, labels = SQUARE, torch.tensor(GATES[data])
    else:
        opened = open_data(data, target=target)
        if len(opened.classes) != 2 or len(opened.shape) != 1:
            kind = f"{len(opened.classes)} classes of shape {opened.shape}"
            raise InputError(f"a perceptron tells two classes of points or rows apart; '{data}' has {kind}")
        batch = next(opened.train.batches(len(opened.train)))
        inputs, labels = batch.inputs, batch.targets
    proof, learned = prove(inputs, labels), learn(inputs, labels)
    result = {
        "weights": learned.perceptron.weights.tolist(), "bias": learned.perceptron.bias, "mistakes": learned.mistakes,
        "passes": learned.passes, "margin": proof.margin, "radius": proof.radius, "bound": proof.bound,
    }  # fmt: skip
    if json_:
        print_json(result)
        return
    weights = ", ".join(f"{weight:g}" for weight in learned.perceptron.weights.tolist())
    print(f"fires where ({weights})·x + {learned.perceptron.bias:g} > 0")
    print(
        f"{learned.mistakes} mistakes in {learned.passes} passes; at most (R/γ)² = {proof.bound:.4g} are possible, "
        f"with R = {proof.radius:.4g} and margin γ = {proof.margin:.4g} (Novikoff, 1962)"
    )


@app.command
def approximate(
    function: str, *, widths: tuple[int, ...] = (2, 4, 8, 16, 32, 64), out: Path | None = None, json_: Json = False
) -> None:
    """Fit a continuous function on [0, 1] by networks of one hidden layer, and show how the error falls with width.

    Parameters
    ----------
    function
        A formula in x such as "sin(6*x) + x**2", or a CSV file with columns x and y.
    widths
        Numbers of hidden units.
    out
        A PNG file for the picture.
    """
    from pendio.neurons.approximation import approximate as fit
    from pendio.neurons.approximation import parse_function, read_function
    from pendio.pictures.approximation import draw_approximation
    from pendio.runs.files import replacing

    wanted = read_function(Path(function)) if function.lower().endswith(".csv") else parse_function(function)
    fits = fit(wanted, widths)
    rows = [{"width": f.width, "parameters": 3 * f.width + 1, "error": f.error} for f in fits]
    if json_:
        print_json(rows)
    else:
        for row in rows:
            print(f"{row['width']:>6} units  {row['parameters']:>6} parameters  largest error {row['error']:.3g}")
    if out is not None:
        outputs, errors = [f.outputs for f in fits], [f.error for f in fits]
        with replacing(out) as file:
            file.write(draw_approximation(fits[0].points, fits[0].targets, outputs, widths, errors))
        say(f"wrote {out}")


@app.command
def descend(
    surface: str = "ravine",
    *,
    optimizers: tuple[Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"], ...] = (
        "sgd",
        "momentum",
        "nesterov",
        "rmsprop",
        "adam",
    ),
    lr: float | None = None,
    momentum: float = 0.8,
    steps: int = 100,
    out: Path | None = None,
    json_: Json = False,
) -> None:
    """Watch optimisers walk down a surface over the plane.

    Parameters
    ----------
    surface
        bowl, ravine, rosenbrock or saddle.
    optimizers
        Which ones.
    lr
        Learning rate; by default one that suits the surface, and three times that for rmsprop, adam and adamw.
    momentum
        Momentum of momentum and nesterov, in [0, 1).
    steps
        How many.
    out
        A PNG file for the picture of their paths.
    """
    from pendio.descent.plan import Plan
    from pendio.descent.surfaces import SURFACES
    from pendio.descent.surfaces import descend as walk
    from pendio.errors import did_you_mean
    from pendio.pictures.paths import draw_paths
    from pendio.runs.files import replacing

    if surface not in SURFACES:
        raise InputError(f"unknown surface '{surface}': {did_you_mean(surface, SURFACES)}")
    if not 1 <= steps <= 1_000_000:
        raise InputError(f"--steps must be 1 to 1,000,000, got {steps}")
    ground = SURFACES[surface]
    if not json_:
        print(f"{surface}: {ground.about}")
    rows, paths = [], {}
    for name in optimizers:
        rate = lr or ground.lr * (3 if name in ("rmsprop", "adam", "adamw") else 1)
        path = walk(ground, Plan(optimizer=name, lr=rate, momentum=0.0 if name == "rmsprop" else momentum), steps)
        paths[str(name)] = path.points
        height, (x, y) = float(path.heights[-1]), path.points[-1].tolist()
        diverged = len(path.points) <= steps or height > 10 * abs(float(path.heights[0]))
        rows.append({"optimizer": name, "lr": rate, "height": height, "point": [x, y], "diverged": diverged})
        if not json_:
            end = "diverged" if diverged else f"height {height:.3g}"
            print(f"{name:<9} lr {rate:<6g} {end:<20} at ({x:.3g}, {y:.3g})")
    if json_:
        print_json(rows)
    if out is not None:
        with replacing(out) as file:
            file.write(draw_paths(ground.height, ground.bounds, paths, ground.minimum))
        say(f"wrote {out}")


@app.command
def find_lr(
    options: Annotated[Classify, Parameter(name="*")] = Classify(),  # noqa: B008  (frozen)
    *,
    picture: Path | None = None,
    json_: Json = False,
) -> None:
    """Find a learning rate for a training: takes the options of `train classify`, trains nothing, writes no run.

    Parameters
    ----------
    picture
        A PNG file for the curve of loss against learning rate.
    """
    from pendio.classification.recipe import find_lr as search
    from pendio.pictures.lines import draw_lines
    from pendio.runs.files import replacing

    found = search(options)
    if json_:
        print_json({"lr": found.suggestion, "rates": found.rates, "losses": found.losses})
    else:
        print(f"--lr {found.suggestion:.1e}")
    if picture is not None:
        series = {"loss": (found.rates, found.losses)}
        with replacing(picture) as file:
            file.write(draw_lines(series, "learning rate", "smoothed loss", log_x=True, mark=found.suggestion))
        say(f"wrote {picture}")
