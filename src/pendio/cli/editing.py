"""Changing given images with a diffusion model: filling in what is hidden, and making others that resemble them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pendio.cli.app import Json, app, print_json
from pendio.cli.making import class_numbers
from pendio.errors import InputError
from pendio.generation.diffusion.options import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from pendio.generation.diffusion.task import Diffusion

__all__ = ["inpaint", "resemble"]

_REGIONS = {
    "left": (0.0, 0.0, 0.5, 1.0),
    "right": (0.5, 0.0, 1.0, 1.0),
    "top": (0.0, 0.0, 1.0, 0.5),
    "bottom": (0.0, 0.5, 1.0, 1.0),
    "middle": (0.25, 0.25, 0.75, 0.75),
}
"""Name → x1, y1, x2, y2 in shares of the sides."""

_GREY = 0.5

At = Annotated[tuple[int, ...], Parameter(negative="")]
Strengths = Annotated[tuple[float, ...], Parameter(negative="")]


@app.command
def inpaint(
    run: str, *inputs: str, at: At = (), hide: str = "right", mask: Path | None = None, variants: int = 3,
    class_: Annotated[str | None, Parameter(name="--class")] = None, steps: int = 50, repeats: int = 5,
    guidance: float = 1.0, seed: int = 0, out: Path = Path("inpaint.png"), json_: Json = False,
) -> None:  # fmt: skip
    """Let a diffusion model fill in a part of images, so that it fits the rest.

    Parameters
    ----------
    run
        A run folder of train diffuse, on images.
    inputs
        Image files, folders of them or names of embedded photographs.
    at
        Validation examples of the run's data by number, instead of images.
    hide
        What to fill in: left, right, top, bottom, middle, or x1,y1,x2,y2 in pixels of the model's size.
    mask
        A grey image: white where to fill in.
    variants
        How many ways each image is filled in.
    class_
        What the images shall show, where the model was trained with --conditional.
    steps
        From noise to an image.
    repeats
        How often each step is taken back and taken again, so that both parts come to fit.
    guidance
        1 follows the class as learned, and more follows it harder.
    seed
        Of all randomness.
    out
        The picture: a column for each image, which is above, with grey in place of what is hidden, and the variants below.
    """
    import torch

    from pendio.cli.images import read_mask
    from pendio.generation.diffusion import editing

    task, images = _begin(run, inputs, at, variants)
    height, width = images.shape[2:]
    hidden = _region(hide, height, width) if mask is None else read_mask(mask, (height, width)) > 0.5
    if not hidden.any():
        raise InputError(f"{'--hide' if mask is None else '--mask'} hides no pixel: there is nothing to fill in")
    labels = _labels(task, class_, len(images))
    generator = torch.Generator().manual_seed(seed)
    made = [
        editing.inpaint(task, images, hidden, generator=generator, labels=labels, steps=steps, repeats=repeats,
                        guidance=guidance)
        for _ in range(variants)
    ]  # fmt: skip
    _write(out, [images, torch.where(hidden, _GREY, images), *made])
    _tell(out, json_, images=len(images), variants=variants, hidden=float(hidden.float().mean()))


@app.command
def resemble(
    run: str, *inputs: str, at: At = (), strength: Strengths = (0.3, 0.5, 0.7, 0.9),
    class_: Annotated[str | None, Parameter(name="--class")] = None, sampler: Sampler = "deterministic", steps: int = 50,
    guidance: float = 1.0, eta: float = 0.0, seed: int = 0, out: Path = Path("resemble.png"), json_: Json = False,
) -> None:  # fmt: skip
    """Let a diffusion model make images that resemble given ones: they are noised part of the way, and denoised again.

    Parameters
    ----------
    run
        A run folder of train diffuse, on images.
    inputs
        Image files, folders of them or names of embedded photographs.
    at
        Validation examples of the run's data by number, instead of images.
    strength
        How far to noise, in (0, 1]: a row for each. Little keeps all but details; at 1 nearly nothing is kept.
    class_
        What the images shall show, where the model was trained with --conditional: another class changes them.
    sampler
        Which way the model goes.
    steps
        Of the whole way from noise.
    guidance
        1 follows the class as learned, and more follows it harder.
    eta
        Share of fresh noise in each step of the sampler ddim.
    seed
        Of all randomness.
    out
        The picture: a column for each image, which is above.
    """
    import torch

    from pendio.generation.diffusion import editing

    task, images = _begin(run, inputs, at, len(strength))
    labels = _labels(task, class_, len(images))
    made = [
        editing.resemble(task, images, share, generator=torch.Generator().manual_seed(seed), labels=labels, sampler=sampler,
                         steps=steps, guidance=guidance, eta=eta)
        for share in strength
    ]  # fmt: skip
    _write(out, [images, *made])
    moved = [float((part - images).square().mean().sqrt()) for part in made]
    _tell(out, json_, images=len(images), strength=list(strength), moved=moved)


def _begin(run: str, inputs: tuple[str, ...], at: tuple[int, ...], rows: int) -> "tuple[Diffusion, Tensor]":
    """The model, and the images to change, ``(N, C, S, S)`` in [0, 1]."""
    from pendio.generation.examples import numbered
    from pendio.generation.given import given
    from pendio.nn.network import unit_range
    from pendio.recipes import opened
    from pendio.runs.run import Run

    folder = Run.open(run)
    if folder.recipe != "diffuse":
        raise InputError(f"'{run}' is a run of 'train {folder.recipe}'; images are changed by one of 'train diffuse'")
    if not 1 <= rows <= 64:
        raise InputError(f"1 to 64 rows fit into a picture, and {rows} are asked for")
    if bool(inputs) == bool(at):
        raise InputError("give images to change, or --at with numbers of validation examples, such as --at 0 --at 1")
    task, examples = opened(folder, None)
    if len(task.shape) != 3:
        raise InputError(f"'{run}' makes rows of {task.shape[0]} numbers; give a run that was trained on images")
    if inputs:
        return task, given(inputs, task.shape).inputs
    return task, unit_range(numbered(examples, at).inputs).float()


def _region(text: str, height: int, width: int) -> "Tensor":
    """``(1, 1, height, width)`` what is hidden."""
    import torch

    if text in _REGIONS:
        x1, y1, x2, y2 = (round(share * side) for share, side in zip(_REGIONS[text], (width, height) * 2, strict=True))
    else:
        try:
            x1, y1, x2, y2 = (int(part) for part in text.split(","))
        except ValueError:
            raise InputError(
                f"--hide must be {', '.join(_REGIONS)}, or four numbers x1,y1,x2,y2, got '{text}'"
            ) from None
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise InputError(f"--hide {text} is no part of an image of {width}×{height} pixels")
    hidden = torch.zeros(1, 1, height, width, dtype=torch.bool)
    hidden[..., y1:y2, x1:x2] = True
    return hidden


def _labels(task: "Diffusion", name: str | None, count: int) -> "Tensor | None":
    import torch

    return None if name is None else torch.full((count,), class_numbers(task, [name])[0])


def _write(out: Path, rows: "list[Tensor]") -> None:
    import torch

    from pendio.cli.images import write_file
    from pendio.pictures.tiles import tiled

    write_file(out, tiled(torch.cat(rows), columns=len(rows[0])))


def _tell(out: Path, json_: bool, **values: Any) -> None:
    if json_:
        print_json({"out": str(out), **values})
    else:
        print(f"wrote {out}")
