"""``pendio latent map``: from the latent space of one generative model to that of another."""

from pathlib import Path
from typing import Literal

from rich.table import Table

from pendio.cli.app import Json, console, print_json, say
from pendio.cli.latent import Indices, latent, open_latent

__all__ = ["map_"]


@latent.command(name="map")
def map_(
    run: str, target: str, *, support: Indices = (), method: Literal["ridge", "procrustes"] = "ridge",
    choice: Literal["random", "d-optimal"] = "d-optimal", seed: int = 0, most: int = 2000, out: Path = Path("map.png"),
    curve: Path | None = None, json_: Json = False,
) -> None:  # fmt: skip
    """Map codes of one run linearly to those of another, trained on the same data, and measure how well.

    Errors of held-out examples: R, what the source makes of its codes; M, what the target makes of mapped ones, beside its
    own; "cut" is the target's own with codes cut to as many principal components as the source has dimensions.

    Parameters
    ----------
    run
        Where codes come from.
    target
        The run whose codes they become.
    support
        Training examples the map is fitted on; several give a curve. By default ½, 1, 2 and 4 times the source's dimensions.
    method
        Ridge regression, or rotation with scale and offset.
    choice
        Of the support: at random, or so that it tells most.
    seed
        Of a random support.
    most
        Examples of a split to use.
    out
        Rows of originals, the source's reconstructions, mapped ones, and the target's own.
    curve
        A .png file for errors against the size of the support.
    """
    from pendio.generation.latent.mapping import check_same_data, study_map
    from pendio.generation.latent.pictures import draw_map_errors, draw_mapping
    from pendio.runs.files import replacing

    source_task, data = open_latent(run)
    target_task, other = open_latent(target)
    check_same_data(data, other)
    found = study_map(
        source_task, target_task, data, sizes=support or None, method=method, choice=choice, seed=seed, most=most
    )
    pictures: dict[Path, bytes] = {}
    if found.inputs.ndim == 4:
        pictures[out] = draw_mapping(found)
    if curve is not None:
        pictures[curve] = draw_map_errors(found.errors)
    for path, picture in pictures.items():
        with replacing(path) as file:
            file.write(picture)
    if json_:
        print_json({"out": [str(path) for path in pictures], "errors": [error.to_dict() for error in found.errors],
                    "warning": found.warning})  # fmt: skip
        return
    table = Table("support", "R source", "L codes", "M mapped", "target's own", "M / own", "own, cut", "M / cut")
    for error in found.errors:
        numbers = (error.source, error.latent, error.mapped, error.own, error.ratio, error.cut, error.cut_ratio)
        table.add_row(str(error.support), *("–" if number is None else f"{number:.4g}" for number in numbers))
    console().print(table)
    if found.warning:
        say(f"warning: {found.warning}")
    if pictures:
        print(f"wrote {', '.join(map(str, pictures))}")
