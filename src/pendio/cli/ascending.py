"""Looking inside: what units respond to, and what layers keep of an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from pendio.cli.app import Json, app, climbing, console, print_json, say
from pendio.cli.images import How, HowOptions, as_floats, file_name, read_mask, write_file
from pendio.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from pendio.ascent.visualize import Visualization
    from pendio.nn.network import Network

__all__ = ["invert", "visualize"]

_REAL = 256
"""Real images that results are compared with."""

_BESIDE = 16
"""Units that are shown beside real images."""


@app.command
def visualize(
    network: str,
    objective: str,
    *,
    out: Path = Path("visualize"),
    data: str | None = None,
    size: int | None = None,
    steps: int = 256,
    canvas: Literal["spectrum", "pixels"] = "spectrum",
    lr: float | None = None,
    still: bool = False,
    smooth: float = 0.0,
    contrast: float = 0.0,
    blur: float = 0.0,
    variants: int = 1,
    diversity: float = 1.0,
    base: str | None = None,
    mask: Path | None = None,
    how: HowOptions = How(),  # noqa: B008  (frozen)
    json_: Json = False,
) -> None:
    """Make images that a neuron, channel, layer or class responds to most, and show the real images that excite it most.

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME; pendio summary lists its layers.
    objective
        A sum of [weight*]LAYER:UNIT such as class:espresso, blocks.2.0:12, blocks.2.0:12@3,4 (one place), blocks.2.0:0-15
        or blocks.2.0:all (an image each), blocks.3 (the whole layer).
    out
        A folder for the images, one PNG each, and sheet.png with all of them.
    data
        Real images to compare with (pendio list data, a folder …); by default the run's own data, or photos.
    size
        Side of the images in pixels; by default the network's own.
    steps
        Steps of Adam.
    canvas
        What moves: Fourier coefficients with decorrelated colours, or pixels.
    lr
        Learning rate; by default one that suits the canvas.
    still
        Climb without random shifts, scales and turns.
    smooth
        Weight of the total variation, which is held down.
    contrast
        Weight of the mean square distance from grey, which is held down.
    blur
        Weight of the mean square distance from the own blur, which is held down.
    variants
        Different images of one unit.
    diversity
        How strongly variants are held apart, relative to the unit.
    base
        An image to change instead of starting from noise; needs --mask.
    mask
        A grey image: white where the image may change.
    """
    from pendio.ascent import objectives as parts
    from pendio.ascent.spoken import parse_objective
    from pendio.ascent.visualize import visualize as climb_to

    if steps < 1 or variants < 1:
        raise InputError(f"--steps and --variants must be at least 1, got {steps} and {variants}")
    if (base is None) != (mask is None):
        raise InputError("--base and --mask go together: the image to change, and where")
    opened = how.open(network)
    side = size or opened.shape[1]
    shape = (opened.shape[0], side, side)
    spoken = parse_objective(opened, objective, shape)
    wanted, names = spoken.objective, spoken.names
    if variants > 1:
        if len(names) > 1:
            raise InputError(f"--variants {variants} is for one unit, and '{objective}' means {len(names)}")
        from pendio.ascent.levels import levels

        wanted = wanted + diversity * parts.diversity(levels(opened, shape)[-1])
        names = tuple(f"{names[0]} {number}" for number in range(1, variants + 1))
    penalties = ((smooth, parts.total_variation), (contrast, parts.contrast), (blur, parts.blur))
    for weight, penalty in penalties:
        wanted = wanted - weight * penalty() if weight else wanted
    real = _real(network, opened, data)
    start = None if base is None else _square(as_floats(base, opened, None), side)
    hole = None if mask is None else read_mask(mask, (side, side))
    with climbing(objective, steps) as bar:
        made = climb_to(
            opened, wanted, count=len(names), size=side, steps=steps, kind=canvas, lr=lr, wobble=None if still else "auto",
            real=real, base=start, mask=hole, seed=how.seed, precision=how.precision, on_step=bar,
        )  # fmt: skip
    rows = _save(opened, made, names, out, objective.startswith("class:"))
    if real is not None:
        _save_beside(made, names, real, out)
    if json_:
        print_json(rows)
        return
    table = Table("unit", "value", "saved", "held-out views", "highest real", "percentile", "file")
    for row in rows:
        numbers = (row.get(key) for key in ("value", "after_saving", "held_out_views", "highest_real", "percentile"))
        table.add_row(row["unit"], *("" if value is None else f"{value:.4g}" for value in numbers), row["file"])
    console().print(table)
    if made.audit.outputs == "probabilities":
        say("noticed: this network ends in a softmax; climbing logits before it would go further")
    say(f"wrote {out}/sheet.png" + (f" and {out}/beside.png" if real is not None else ""))


def _save(
    network: "Network", made: "Visualization", names: tuple[str, ...], out: Path, classes: bool
) -> list[dict[str, Any]]:
    """Write each image and a sheet of all; a row of what the audit found for each."""
    import torch

    from pendio.ascent.attacks.goal import eight_bit
    from pendio.pictures.grids import draw_grid
    from pendio.pictures.png import image_png

    rows = []
    for number, name in enumerate(names):
        path = out / f"{file_name(name)}.png"
        write_file(path, image_png(made.images[number]))
        row = {"unit": name, "file": str(path), **made.audit.to_dict(number)}
        if classes:
            with torch.no_grad():
                certainty, predicted = network.eval()(eight_bit(made.images[number : number + 1])).softmax(1).max(1)
            row |= {"predicted": network.classes[int(predicted)], "probability": float(certainty)}
        rows.append(row)
    captions = [f"{row['unit']}\n{row['after_saving']:.3g}" for row in rows]
    write_file(out / "sheet.png", draw_grid(made.images, captions))
    return rows


def _save_beside(made: "Visualization", names: tuple[str, ...], real: "Tensor", out: Path) -> None:
    """Write a picture of each unit's image beside the real ones that excite it most."""
    import torch

    from pendio.pictures.grids import draw_grid

    shown, captions = [], []
    for number, name in enumerate(names[:_BESIDE]):
        assert made.audit.real is not None
        values, best = made.audit.real[number].topk(min(4, len(real)))
        shown += [made.images[number : number + 1], _square(real[best], made.images.shape[2])]
        captions += [name, *(f"real {value:.3g}" for value in values.tolist())]
    write_file(out / "beside.png", draw_grid(torch.cat(shown), captions, columns=1 + len(best)))


def _square(images: "Tensor", side: int) -> "Tensor":
    """The middle of images ``(N, C, H, W)``, at ``side`` × ``side``."""
    import torch.nn.functional as F

    height, width = images.shape[2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    middle = images[:, :, top : top + short, left : left + short]
    return F.interpolate(middle, (side, side), mode="bilinear", antialias=True) if short != side else middle


def _real(name: str, network: "Network", data: str | None) -> "Tensor | None":
    """Real images of the kind a network knows: of ``data``, of what its run was trained on, or photographs."""
    from pendio.ascent.audit import real_photos
    from pendio.classification.recipe import open_data, run_options
    from pendio.data.opening import open as open_data_named
    from pendio.nn.network import unit_range
    from pendio.runs.run import Run

    if data is not None:
        examples = open_data_named(data, size=network.shape[1])
    elif Path(name).is_dir():
        examples = open_data(run_options(Run.open(name)))
    else:
        return real_photos(network.shape[1]) if network.shape[0] == 3 else None
    import torch

    count = len(examples.train)
    inputs = examples.train.take(torch.arange(0, count, max(1, count // _REAL))[:_REAL]).inputs
    values = unit_range(inputs)
    if values.ndim != 4 or values.shape[1] not in (1, network.shape[0]):
        raise InputError(f"--data '{examples.name}' has no images of {network.shape[0]} channels to compare with")
    return values.expand(-1, network.shape[0], -1, -1)


@app.command
def invert(
    network: str,
    image: str,
    *,
    layer: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    out: Path = Path("invert"),
    steps: int = 256,
    lr: float = 0.1,
    smooth: float = 0.05,
    how: HowOptions = How(),  # noqa: B008  (frozen)
    json_: Json = False,
) -> None:
    """Rebuild an image from what layers made of it: what is gone from the picture, the network has thrown away.

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME.
    image
        An image file, or the name of an embedded photo.
    layer
        Layers to rebuild it from; by default one for each resolution, from shallow to deep.
    out
        A folder for strip.png and one PNG a layer.
    steps
        Steps of Adam for each layer.
    lr
        Learning rate.
    smooth
        Weight of the total variation, which is held down.
    """
    import torch

    from pendio.ascent.invert import invert as rebuild
    from pendio.ascent.levels import levels
    from pendio.data.inputs import named_image
    from pendio.data.streams import frame
    from pendio.pictures.grids import draw_grid
    from pendio.pictures.png import image_png

    if steps < 1:
        raise InputError(f"--steps must be at least 1, got {steps}")
    opened = how.open(network)
    pixels = frame(named_image(image, grey=opened.shape[0] == 1), opened.shape[1], opened.crop)[None].float() / 255
    layers = layer or tuple(levels(opened))
    made = []
    for number, name in enumerate(layers, 1):
        with climbing(f"{name} ({number}/{len(layers)})", steps) as bar:
            made += rebuild(
                opened,
                pixels,
                [name],
                steps=steps,
                lr=lr,
                smooth=smooth,
                seed=how.seed,
                precision=how.precision,
                on_step=bar,
            )
    rows = []
    for result in made:
        path = out / f"{file_name(result.layer)}.png"
        write_file(path, image_png(result.image[0]))
        row: dict[str, Any] = {
            "layer": result.layer, "file": str(path), "distance": result.distance, "correlation": result.correlation,
        }  # fmt: skip
        if result.probability is not None:
            row |= {"probability_of_original": result.probability[0], "probability": result.probability[1]}
        rows.append(row)
    captions = [image, *(f"{row['layer']}\ncorrelation {row['correlation']:.2f}" for row in rows)]
    write_file(
        out / "strip.png", draw_grid(torch.cat([pixels, *(r.image for r in made)]), captions, columns=len(captions))
    )
    if json_:
        print_json(rows)
        return
    table = Table("layer", "distance", "correlation", "class before", "class after", "file")
    for row in rows:
        numbers = (row.get(k) for k in ("distance", "correlation", "probability_of_original", "probability"))
        table.add_row(row["layer"], *("" if value is None else f"{value:.3f}" for value in numbers), row["file"])
    console().print(table)
    say(f"wrote {out}/strip.png")
