"""The manifold that data lies on: how many dimensions it has, and how far from it inputs are."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, climbing, console, print_json
from pendio.errors import InputError

if TYPE_CHECKING:
    from pendio.generation.manifold.distance import Distances, Mark

__all__ = ["dimension", "manifold"]


_MOST_NUMBERS = 1 << 28
"""That are looked at: two gigabytes in double precision."""


@app.command
def dimension(
    data: str = "digits",
    *,
    features: str = "pixels",
    layer: str | None = None,
    size: int | None = None,
    target: str | None = None,
    split: Literal["train", "val", "test"] = "train",
    most: int = 5000,
    neighbors: int = 20,
    share: float = 0.95,
    json_: Json = False,
) -> None:
    """Estimate how many dimensions data has, or what a network makes of it: those of the manifold that it lies on.

    Parameters
    ----------
    data
        An embedded set, a folder of images, an .npz archive or a CSV table.
    features
        pixels for examples as they are; or a run of train classify, efficientnet-lite0, timm:NAME or torchvision:NAME, whose
        last layer is left out.
    layer
        Of the network's layers, as pendio summary lists them, the one whose output is measured instead.
    size
        Side in pixels of the images.
    target
        The column of a CSV table that is a label and not a feature.
    split
        Which examples.
    most
        How many of them at most.
    neighbors
        Of local principal components: points of a neighbourhood.
    share
        Of local principal components: share of the variance that the dimensions carry.
    """
    from pendio.generation.examples import open_examples, spaced
    from pendio.generation.manifold.dimension import dimension as estimate
    from pendio.generation.quality.features import open_features

    if most < 3:
        raise InputError(f"--most must be 3 or more, got {most}")
    opened = open_examples(data, size=size, target=target)
    inputs = spaced(opened.split(split), most).inputs
    seen = open_features(features, opened, layer=layer)
    width = seen(inputs[:1]).numel()
    if width * len(inputs) > _MOST_NUMBERS:
        raise InputError(f"{len(inputs):,} examples of {width:,} numbers each are more than is looked at: give --most "
                         f"{_MOST_NUMBERS // width}, or a --layer that says less")  # fmt: skip
    found = estimate(seen(inputs).flatten(1), neighbors=neighbors, share=share)
    if json_:
        print_json({"data": opened.name, "split": split, "features": seen.name, **found.to_dict()})
        return
    print(f"{opened.name}, {seen.name}: {found.points:,} points of {found.extrinsic:,} numbers")
    print(f"two nearest neighbours  {found.two_nn:.2f} ± {found.error:.2f} (fitted {found.two_nn_fit:.2f})")
    print(f"local components        {found.local_pca:.2f} carry {share:.0%} of {neighbors} neighbours' variance")


@app.command
def manifold(
    run: str,
    *inputs: str,
    number: Annotated[int, Parameter(name=["-n", "--number"])] = 200,
    noise: Annotated[tuple[float, ...], Parameter(negative="")] = (0.1, 0.3),
    classifier: str | None = None,
    epsilon: float = 0.1,
    data: str | None = None,
    seed: int = 0,
    out: Path = Path("manifold.png"),
    json_: Json = False,
) -> None:
    """Measure how far inputs lie from what a model learned: natural ones, noisy ones, and such that fool a classifier.

    The yardsticks are the way to the model's reconstruction, and its density where it knows one.

    Parameters
    ----------
    run
        A run folder of train autoencode, vae, gan or flow.
    inputs
        Images or CSV files of your own, to be set beside the held-out examples.
    number
        Held-out examples.
    noise
        Deviations of the noise that is tried, of images in units of their range, of rows in standard deviations.
    classifier
        A run of train classify: images that fool it are measured too.
    epsilon
        The largest change of a pixel that may fool it.
    data
        Other data than the run was trained on.
    seed
        Of noise and attack.
    out
        The picture.
    """
    import torch

    from pendio.cli.images import write_file
    from pendio.generation.given import given
    from pendio.generation.manifold.distance import fooling, mark, measure, natural, noisy, yardsticks
    from pendio.generation.manifold.pictures import draw_distances
    from pendio.generation.quality.features import check_fit
    from pendio.recipes import GENERATORS, network, opened
    from pendio.runs.run import Run

    folder = Run.open(run)
    if folder.recipe not in GENERATORS:
        raise InputError(f"'{run}' is a run of 'train {folder.recipe}', which learns no distribution; give one of train "
                         "autoencode, vae, gan or flow")  # fmt: skip
    task, examples = opened(folder, data)
    sticks = yardsticks(task)
    own = given(inputs, examples.shape) if inputs else None
    generator = torch.Generator().manual_seed(seed)
    real = natural(examples, number)
    groups = [real, *(noisy(real.inputs, examples, level, generator) for level in noise)]
    fooled = None
    if classifier is not None:
        seeing = network(classifier)
        check_fit(classifier, seeing, examples)
        with climbing("fooling", len(real.inputs)) as bar:
            made, fooled = fooling(real.inputs, seeing, epsilon, generator=generator, seed=seed, on_batch=bar)
        groups += made
    found = measure(sticks, groups)
    marks = [] if own is None else mark(own, sticks, found)
    write_file(out, draw_distances(groups, found, marks))
    if json_:
        print_json({
            "run": run, "out": str(out), "fooled": fooled, "groups": [part.to_dict() for part in found],
            "inputs": [part.to_dict() for part in marks],
        })  # fmt: skip
        return
    _print_distances(found, marks)
    if fooled is not None:
        print(f"{fooled:.0%} of the images fooled the classifier within {epsilon:g}")
    print(f"wrote {out}")


def _print_distances(found: "Sequence[Distances]", marks: "Sequence[Mark]") -> None:
    table = Table("", "yardstick", "median", "farther than natural (AUROC)")
    for part in found:
        told = "" if part.auroc is None else f"{part.auroc:.3f}"
        table.add_row(part.group, part.yardstick, f"{float(part.values.median()):.4g}", told)
    console().print(table)
    for mark in marks:
        for stick, value in mark.values.items():
            print(f"{mark.name}: {stick} {value:.4g}, farther than {mark.farther[stick]:.0%} of natural examples")
