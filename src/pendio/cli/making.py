"""Generation: drawing from what was learned, and how good it is."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, console, print_json, say
from pendio.errors import InputError, did_you_mean
from pendio.generation.diffusion.options import Sampler

if TYPE_CHECKING:
    from pendio.generation.making import Maker
    from pendio.generation.quality.judge import Verdict
    from pendio.generation.quality.measure import Quality
    from pendio.runs.run import Run

__all__ = ["Denoising", "DenoisingOptions", "class_numbers", "quality", "sample_examples"]


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """How a diffusion model goes from noise to an example."""

    steps: int | None = None
    """Of a diffusion model: steps from noise to an example; by default 50."""

    sampler: Sampler | None = None
    """Of a diffusion model: the way it goes; by default deterministic."""

    guidance: float | None = None
    """Of a diffusion model that was told classes: 1 follows the class as learned, by default, and more follows it harder."""

    eta: float | None = None
    """Of the sampler ddim: share of fresh noise in each step; 0, by default, is deterministic, 1 is ddpm."""

    precision: Literal["float32", "bf16"] | None = None
    """Of a diffusion model: number format of its network; bf16 is faster where the processor has it."""

    def given(self, recipe: str) -> dict[str, Any]:
        """What was asked for, by name.

        Raises:
            InputError: something was, of a run that is not of ``diffuse``.
        """
        values = dataclasses.asdict(self)
        asked = {name: value for name, value in values.items() if value is not None}
        if asked and recipe != "diffuse":
            raise InputError(
                f"--{next(iter(asked))} is for runs of 'train diffuse', and this is one of 'train {recipe}'"
            )
        return asked


DenoisingOptions = Annotated[Denoising, Parameter(name="*")]


def sample_examples(
    run: "Run", number: int, *, classes: Sequence[str] = (), temperature: float = 1.0, seed: int = 0,
    denoising: Denoising = Denoising(), out: Path | None = None, json_: bool = False,
) -> None:  # fmt: skip
    """What ``pendio sample`` does with a run of a generative model.

    Of a model that can be asked for classes, equally many of each are drawn, in turn: a picture has a column for each.

    Args:
        run: its folder.
        number: how many examples.
        classes: names to ask for; all where none are given.
        temperature: of the latent variables.
        seed: of all randomness.
        denoising: for diffusion models.
        out: a .png, .npz or .csv file, or a folder for images; samples.png or samples.csv by default.
        json_: print JSON.

    Raises:
        InputError: the run makes no examples or not of this class, or an option does not fit.
    """
    from pendio.generation.quality.samples import check_sampling, draw
    from pendio.generation.quality.writing import check_place, usual_place, write_examples
    from pendio.recipes import load

    how = denoising.given(run.recipe)
    check_sampling(number, temperature, seed)
    maker = _maker(load(run.folder), run)
    out = usual_place(maker.shape) if out is None else out
    check_place(out, maker.shape)
    numbers = class_numbers(maker, classes)

    import torch

    labels = torch.tensor(numbers).repeat(-(-number // len(numbers)))[:number] if numbers else None
    parts = draw(maker, number, labels=labels, temperature=temperature, seed=seed, how=how)
    examples = torch.cat([part.examples for part in parts])
    columns = len(numbers) if len(numbers) > 1 else None
    files = write_examples(out, examples, labels, maker.classes, columns=columns)
    if json_:
        names = None if labels is None else [maker.classes[label] for label in labels.tolist()]
        print_json({"out": str(out), "files": files, "examples": number, "classes": names})
    else:
        print(f"wrote {out}: {number} examples of {'×'.join(map(str, maker.shape))}")


def _maker(task: Any, run: "Run") -> "Maker":
    from pendio.generation.making import Maker

    if not isinstance(task, Maker):
        raise InputError(f"'{run.folder}' is a run of 'train {run.recipe}', which makes no examples; give one of "
                         "'train vae', 'gan', 'flow' or 'diffuse'")  # fmt: skip
    return task


def class_numbers(maker: "Maker", names: Sequence[str]) -> list[int]:
    """The class numbers to ask for: of these names, or of all classes.

    Raises:
        InputError: the model was not told classes, or does not know one.
    """
    if names and not maker.classes:
        raise InputError("this model learned without classes, so that none can be asked for; leave --class out")
    for name in names:
        if name not in maker.classes:
            raise InputError(f"--class: the model knows no class '{name}': {did_you_mean(name, maker.classes)}")
    return [maker.classes.index(name) for name in names or maker.classes]


@app.command
def quality(
    run: str,
    *,
    data: str | None = None,
    number: Annotated[int | None, Parameter(name=["-n", "--number"])] = None,
    features: str | None = None,
    weights: str | None = None,
    judge: str | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    denoising: DenoisingOptions = Denoising(),
    json_: Json = False,
) -> None:
    """Measure how far what a generative model makes is from its data, beside real examples it has not seen.

    Parameters
    ----------
    run
        A run folder of train vae, gan, flow or diffuse.
    data
        Compare with other data, of the same size.
    number
        How many examples to make; by default as many as are held out.
    features
        By which examples are compared: pixels, a run of train classify, efficientnet-lite0, timm:NAME or torchvision:NAME.
        By default the judge's; without one EfficientNet-Lite0's for images, and the standardised numbers of rows.
    weights
        A file of weights for these features, such as Inception's for torchvision:inception_v3.
    judge
        A run of train classify on the same classes, to say which classes are seen in what is made.
    temperature
        Standard deviation of the latent variables; 1 is the model as trained.
    seed
        Of all randomness.
    """
    from pendio.classification.recipe import trained_network
    from pendio.generation.quality.features import open_features, usual_features
    from pendio.generation.quality.measure import measure_quality
    from pendio.generation.quality.samples import check_sampling
    from pendio.recipes import opened
    from pendio.runs.run import Run

    folder = Run.open(run)
    how = denoising.given(folder.recipe)
    check_sampling(1 if number is None else number, temperature, seed)
    task, examples = opened(folder, data)
    maker = _maker(task, folder)
    seen_by = features or judge or usual_features(examples)
    found = measure_quality(
        maker, examples, open_features(seen_by, examples, weights),
        judge=None if judge is None else trained_network(judge),
        count=number, temperature=temperature, seed=seed, how=how,
    )  # fmt: skip
    if json_:
        print_json(found.to_dict())
        return
    print(f"{run}: compared with {found.reference:,} training examples of {examples.name} by {found.features} "
          f"({found.dimensions:,} numbers each)")  # fmt: skip
    _print_distances(found)
    if found.judged is not None and found.judged_real is not None:
        _print_verdicts(found.judged, found.judged_real)
        missing = ", ".join(found.missing)
        print(f"missing: {missing}" if missing else f"all {len(found.judged.shares)} classes are made")
    for remark in found.remarks:
        say(f"note: {remark}")


def _print_distances(found: "Quality") -> None:
    table = Table("", "made", "held-out real", "better")
    made, real = found.made, found.real
    table.add_row("examples", f"{made.examples:,}", f"{real.examples:,}")
    table.add_row("Fréchet distance", f"{made.frechet:.4g}", f"{real.frechet:.4g}", "lower")
    kernels = (f"{side.kernel:.3g} ± {side.kernel_error:.1g}" for side in (made, real))
    table.add_row("kernel distance", *kernels, "lower")
    for name in ("precision", "recall", "density", "coverage"):
        table.add_row(name, f"{getattr(made, name):.3f}", f"{getattr(real, name):.3f}", "higher")
    console().print(table)


def _print_verdicts(made: "Verdict", real: "Verdict") -> None:
    table = Table("seen by the judge", "made", "held-out real")
    sides = (made, real)
    if any(side.accuracy is not None for side in sides):
        table.add_row("class as asked", *("–" if side.accuracy is None else f"{side.accuracy:.1%}" for side in sides))
    table.add_row("class score", *(f"{side.class_score:.2f}" for side in sides))
    table.add_row("confidence", *(f"{side.confidence:.1%}" for side in sides))
    for name, share in made.shares.items():
        if share or real.shares[name]:
            table.add_row(f"share of {name}", f"{share:.1%}", f"{real.shares[name]:.1%}")
    console().print(table)
