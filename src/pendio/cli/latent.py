"""``pendio latent``: looking around in the latent space of a generative model."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json
from pendio.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

    from pendio.data.examples import Data
    from pendio.generation.latent.codes import Codes
    from pendio.generation.making import Latent

__all__ = ["directions", "edit", "interpolate", "latent", "open_latent", "plane", "traverse"]

latent = App(name="latent", help="Look around in a generative model's latent space: paths, directions, edits, maps.")
app.command(latent)

Indices = Annotated[tuple[int, ...], Parameter(negative="")]
"""Several numbers, by naming the option again."""

Method = Literal["mean", "lda", "logistic"]


def open_latent(run: str, data: str | None = None) -> "tuple[Latent, Data]":
    """The trained task of a run, and its data or others.

    Raises:
        InputError: it has no latent space.
    """
    from pendio.generation.making import Latent
    from pendio.recipes import GENERATORS, opened
    from pendio.runs.run import Run

    folder = Run.open(run)
    if folder.recipe not in GENERATORS:
        raise InputError(f"'{run}' is a run of 'train {folder.recipe}', which has no latent space; give one of "
                         f"{', '.join(GENERATORS)}")  # fmt: skip
    task, examples = opened(folder, data)
    if not isinstance(task, Latent):
        raise InputError(f"'{run}' has no latent space that can be entered and left")
    return task, examples


def _codes(task: "Latent", data: "Data", most: int) -> "Codes":
    from pendio.generation.latent.codes import encoded

    if most < 2:
        raise InputError(f"--most must be at least 2, got {most}")
    return encoded(task, data, "val", most=most)


def _steps(steps: int) -> None:
    if not 2 <= steps <= 100:
        raise InputError(f"--steps must be 2 to 100, got {steps}")


def _write(path: Path, examples: "Tensor", columns: int) -> None:
    """Images as a grid; rows of numbers as a table."""
    from pendio.runs.files import replacing, write_text

    if examples.ndim != 4:
        lines = [",".join(f"{value:.6g}" for value in row) for row in examples.flatten(1).tolist()]
        write_text(path, "\n".join(lines) + "\n")
        return
    from pendio.pictures.tiles import tiled

    with replacing(path) as file:
        file.write(tiled(examples.clamp(0, 1), columns=columns))


def _place(out: Path | None, name: str, examples: "Tensor") -> Path:
    return out or Path(f"{name}.png" if examples.ndim == 4 else f"{name}.csv")


@latent.command
def interpolate(
    run: str, *, at: Indices = (0, 1), path: Literal["linear", "spherical"] = "spherical", steps: int = 9,
    data: str | None = None, out: Path | None = None, json_: Json = False,
) -> None:  # fmt: skip
    """Decode a path between the codes of two or more examples.

    Parameters
    ----------
    run
        A run folder of train autoencode, vae, gan, flow or diffuse.
    at
        Validation examples by number: a row from each to the next.
    path
        Straight or along a great circle.
    steps
        Codes of each row, both ends included.
    data
        Other data to take the examples from.
    out
        The file to write; by default interpolate.png, or .csv of tables.
    """
    import torch

    from pendio.generation.latent.codes import decoded, encoded_at
    from pendio.generation.latent.paths import lerp, slerp

    _steps(steps)
    if len(at) < 2:
        raise InputError("--at needs two examples to go between, such as --at 0 --at 1")
    task, examples = open_latent(run, data)
    ends = encoded_at(task, examples, at).values
    rows = [(slerp if path == "spherical" else lerp)(*pair, steps) for pair in itertools.pairwise(ends)]
    made = decoded(task, torch.cat(rows))
    file = _place(out, "interpolate", made)
    _write(file, made, steps)
    middles, norms = [float(row[steps // 2].norm()) for row in rows], ends.norm(dim=1).tolist()
    if json_:
        print_json({"out": str(file), "norms": norms, "middles": middles})
        return
    print(f"wrote {file}: {len(rows)} rows of {steps} steps, {path}")
    for index, middle in enumerate(middles):
        print(f"norm {norms[index]:.2f} → {middle:.2f} in the middle → {norms[index + 1]:.2f}")


@latent.command
def traverse(
    run: str, *, dimensions: int = 8, reach: float = 3.0, steps: int = 9, principal: bool = False, most: int = 1000,
    data: str | None = None, out: Path | None = None, json_: Json = False,
) -> None:  # fmt: skip
    """Decode codes along single dimensions, a row each, from the mean code.

    Parameters
    ----------
    run
        A run folder of train autoencode, vae, gan, flow or diffuse.
    dimensions
        How many, those that vary most first.
    reach
        How far to both sides, in standard deviations of the codes.
    steps
        Codes of each row.
    principal
        Go along principal directions of the codes instead of single dimensions.
    most
        Validation examples to encode.
    data
        Other data to take the examples from.
    out
        The file to write; by default traverse.png, or .csv of tables.
    """
    import torch

    from pendio.generation.latent.codes import decoded
    from pendio.generation.latent.directions import principal_directions
    from pendio.generation.latent.paths import traversals

    _steps(steps)
    if dimensions < 1:
        raise InputError(f"--dimensions must be at least 1, got {dimensions}")
    if not 0 < reach <= 100:
        raise InputError(f"--reach must be above 0 and at most 100, got {reach:g}")
    task, examples = open_latent(run, data)
    codes = _codes(task, examples, most)
    if principal:
        ways, spreads = principal_directions(codes.values, dimensions)
        offsets = torch.linspace(-reach, reach, steps, dtype=torch.float64)
        rows = codes.values.mean(0) + offsets[None, :, None] * (ways * spreads[:, None])[:, None]
        chosen, deviations = list(range(len(ways))), spreads.tolist()
    else:
        spread = codes.values.std(0)
        order = spread.argsort(descending=True)[:dimensions]
        rows = traversals(codes.values, order, steps, reach)
        chosen, deviations = order.tolist(), spread[order].tolist()
    made = decoded(task, rows.flatten(0, 1))
    file = _place(out, "traverse", made)
    _write(file, made, steps)
    if json_:
        print_json({"out": str(file), "dimensions": chosen, "deviations": deviations})
        return
    print(f"wrote {file}: {len(chosen)} rows of {steps} steps, ±{reach:g} standard deviations")
    print(
        "rows: " + ", ".join(f"{number} (SD {spread:.3g})" for number, spread in zip(chosen, deviations, strict=True))
    )


@latent.command
def edit(
    run: str, *, attribute: str, at: Indices = (0, 1, 2, 3), strength: float = 3.0, steps: int = 7, method: Method = "mean",
    most: int = 1000, data: str | None = None, out: Path | None = None, json_: Json = False,
) -> None:  # fmt: skip
    """Move examples towards a class, and measure what else moves.

    Parameters
    ----------
    run
        A run folder of train autoencode, vae, gan, flow or diffuse, on data with classes.
    attribute
        The class to move to.
    at
        Validation examples by number.
    strength
        How far the last step goes, in standard deviations of codes; negative moves away.
    steps
        Codes of each row.
    method
        How the direction is found: difference of means, LDA or logistic regression.
    most
        Validation examples to learn the directions from.
    data
        Other data to take the examples from.
    out
        The file to write; by default edit.png, or .csv of tables.
    """
    from pendio.generation.latent.codes import encoded_at
    from pendio.generation.latent.edits import edit as move

    _steps(steps)
    task, examples = open_latent(run, data)
    codes = _codes(task, examples, most)
    codes.attributes()
    if attribute not in codes.classes:
        raise InputError(f"--attribute: there is no class '{attribute}': {did_you_mean(attribute, codes.classes)}")
    start = encoded_at(task, examples, at).values
    done = move(task, codes, codes.classes.index(attribute), start, strength=strength, steps=steps, method=method)
    made = done.examples.transpose(0, 1).flatten(0, 1)
    file = _place(out, "edit", made)
    _write(file, made, steps)
    moved = dict(zip(codes.classes, done.moved.tolist(), strict=True))
    if json_:
        print_json({"out": str(file), "moved": moved, "entanglement": done.entanglement})
        return
    print(f"wrote {file}: {len(at)} rows of {steps} steps")
    print("scores moved, in standard deviations: " + ", ".join(f"{name} {value:+.2f}" for name, value in moved.items()))
    if done.entanglement is None:
        print("entanglement needs three classes: of two, one moves as much as the other")
    else:
        print(f"entanglement {done.entanglement:.2f}: the others' mean move over that of {attribute}")


@latent.command
def directions(
    run: str, *, method: Method = "lda", most: int = 1000, data: str | None = None, json_: Json = False
) -> None:
    """Principal directions of the codes, those of the classes, and scores of disentanglement.

    Parameters
    ----------
    run
        A run folder of train autoencode, vae, gan, flow or diffuse.
    method
        How directions of classes are found.
    most
        Validation examples to encode.
    data
        Other data to take the examples from.
    """
    from pendio.generation.latent.directions import attribute_direction, principal_directions
    from pendio.generation.latent.disentanglement import dci, mig, sap

    task, examples = open_latent(run, data)
    codes = _codes(task, examples, most)
    _, spreads = principal_directions(codes.values, 10)
    shares = (spreads.square() / codes.values.var(0).sum().clamp(min=1e-12)).tolist()
    found: dict[str, Any] = {"examples": len(codes.values), "dimensions": codes.values.shape[1], "components": shares}
    if len(codes.classes) > 1:
        attributes = codes.attributes()
        factors = attributes.long()
        ways = {
            name: attribute_direction(codes.values, attributes[:, number], method).tolist()
            for number, name in enumerate(codes.classes)
        }
        found |= {"mig": mig(codes.values, factors), "sap": sap(codes.values, factors),
                  **dci(codes.values, factors)._asdict(), "directions": ways}  # fmt: skip
    if json_:
        print_json(found)
        return
    print(f"{run}: {found['examples']} codes of {found['dimensions']} numbers")
    print("variance along principal directions: " + " ".join(f"{share:.1%}" for share in shares))
    table = Table("score", "value")
    for name in ("mig", "sap", "disentanglement", "completeness", "informativeness"):
        if name in found:
            table.add_row(name, f"{found[name]:.3f}")
    if table.row_count:
        console().print(table)


@latent.command
def plane(
    run: str, *, at: Indices = (), side: int = 11, reach: float = 3.0, most: int = 1000, data: str | None = None,
    out: Path = Path("plane.png"), scatter: Path | None = None, json_: Json = False,
) -> None:  # fmt: skip
    """Decode a plane of the latent space: through three examples, or along the two main components.

    Parameters
    ----------
    run
        A run folder of train autoencode, vae, gan, flow or diffuse, on images.
    at
        Three validation examples by number: corners top left, top right and bottom left.
    side
        Codes in a row.
    reach
        How far along the components, in standard deviations.
    most
        Validation examples to encode.
    data
        Other data to take the examples from.
    out
        The picture to write.
    scatter
        Also draw the codes in their two main components, by class, to this .png file.
    """
    import torch

    from pendio.generation.latent.codes import decoded, encoded_at
    from pendio.generation.latent.directions import principal_directions
    from pendio.generation.latent.pictures import draw_codes, plane_codes
    from pendio.runs.files import replacing

    if at and len(at) != 3:
        raise InputError(f"--at needs three examples for a plane, got {len(at)}")
    if not 2 <= side <= 50:
        raise InputError(f"--side must be 2 to 50, got {side}")
    task, examples = open_latent(run, data)
    codes = _codes(task, examples, most)
    if at:
        corners = encoded_at(task, examples, at).values
    else:
        ways, spreads = principal_directions(codes.values, 2)
        if len(ways) < 2:
            raise InputError(f"a plane needs codes of two numbers at least, and those of '{run}' have one")
        across, down = 2 * reach * ways * spreads[:, None]
        start = codes.values.mean(0) - (across + down) / 2
        corners = torch.stack([start, start + across, start + down])
    _write(out, decoded(task, plane_codes(corners, side)), side)
    if scatter is not None:
        with replacing(scatter) as file:
            file.write(draw_codes(codes))
    if json_:
        print_json({"out": str(out), "scatter": scatter and str(scatter), "side": side})
    else:
        print(f"wrote {out}: {side}×{side} codes" + (f"; {scatter}: codes by class" if scatter else ""))
