"""Dreams and paintings: one image becomes another."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pendio.cli.app import Json, app, climbing, print_json
from pendio.cli.images import How, HowOptions, as_floats, read_mask, write_file
from pendio.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

__all__ = ["dream", "style"]


@app.command
def dream(
    network: str,
    image: str,
    objective: str | None = None,
    *,
    out: Path = Path("dream.png"),
    size: int | None = None,
    octaves: int = 4,
    ratio: float = 1.4,
    steps: int = 20,
    step: float = 0.01,
    tile: int | None = None,
    frames: int = 60,
    zoom: float = 1.04,
    mask: Path | None = None,
    how: HowOptions = How(),  # noqa: B008  (frozen)
    json_: Json = False,
) -> None:
    """Strengthen in an image what a layer, a neuron or a class already sees in it.

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME.
    image
        An image file, or the name of an embedded photo.
    objective
        As for visualize: blocks.3 (a whole layer), blocks.3:12, class:espresso; by default the layer of the fourth
        resolution.
    out
        The file to write: a PNG of the input's size, or a .gif or .mp4 into which the view sinks.
    size
        Longer side in pixels to bring the image to first.
    octaves
        How many sizes the dream goes over, from coarse to fine.
    ratio
        Of one size to the one before.
    steps
        At each size.
    step
        Size of a step, in units of the image's range.
    tile
        Side in pixels of what is seen at once, for images larger than memory.
    frames
        How many, for a .gif or .mp4.
    zoom
        How much larger each frame shows the middle of the last.
    mask
        A grey image: white where the image may change.
    """
    from pendio.ascent.dream import Octaves
    from pendio.ascent.dream import dream as strengthen
    from pendio.ascent.dream import zoom as sink
    from pendio.ascent.levels import levels
    from pendio.ascent.spoken import parse_objective
    from pendio.data.frames import MOVING, write_frames
    from pendio.pictures.png import image_png

    moving = out.suffix.lower() in MOVING
    if not moving and out.suffix.lower() != ".png":
        raise InputError(f"--out '{out}' must end in .png, .gif or .mp4")
    if frames < 1 or not zoom > 1:
        raise InputError(f"--frames must be at least 1 and --zoom above 1, got {frames} and {zoom:g}")
    way = Octaves(octaves, ratio, steps, step, tile)
    opened = how.open(network)
    pixels = as_floats(image, opened, size)
    if objective is None:
        found = levels(opened)
        objective = found[min(3, len(found) - 1)]
    spoken = parse_objective(opened, objective, tuple(pixels.shape[1:]))
    if len(spoken.names) > 1:
        raise InputError(f"'{objective}' means {len(spoken.names)} units; a dream follows one")
    if moving:
        if mask is not None:
            raise InputError("--mask is for a single image: where the view moves, it does not stay in place")
        with climbing(objective, frames) as bar:
            made = sink(opened, pixels, spoken.objective, way, frames, zoom, seed=how.seed, precision=how.precision)
            count = write_frames(out, _told(made, bar), 25)
        result: dict[str, Any] = {"file": str(out), "objective": objective, "frames": count}
    else:
        hole = None if mask is None else read_mask(mask, pixels.shape[2:])
        with climbing(objective, octaves * steps) as bar:
            dreamt = strengthen(
                opened, pixels, spoken.objective, way, mask=hole, seed=how.seed, precision=how.precision,
                on_step=bar,
            )  # fmt: skip
        write_file(out, image_png(dreamt.image[0]))
        result = {"file": str(out), "objective": objective, "before": dreamt.before, "after": dreamt.after}
    if json_:
        print_json(result)
    elif moving:
        print(f"wrote {out}: {result['frames']} frames of {objective}")
    else:
        print(f"wrote {out}: {objective} from {result['before']:.4g} to {result['after']:.4g}")


def _told(frames: "Iterator[Tensor]", bar: "Callable[[int, float], None]") -> "Iterator[Tensor]":
    """The frames, with the bar told of each."""
    for number, frame in enumerate(frames, 1):
        bar(number, float(frame.mean()))
        yield frame[0]


@app.command
def style(
    content: str,
    *styles: str,
    network: str = "efficientnet-lite0",
    out: Path = Path("style.png"),
    size: int | None = 512,
    content_weight: float = 1.0,
    style_weight: float = 100.0,
    content_layer: str | None = None,
    style_layer: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    mix: Annotated[tuple[float, ...], Parameter(consume_multiple=True)] = (),
    mask: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    smooth: float = 0.05,
    start: Literal["content", "noise"] = "content",
    optimizer: Literal["lbfgs", "adam"] = "lbfgs",
    lr: float = 0.02,
    steps: int = 150,
    scales: int = 2,
    keep_colors: bool = False,
    how: HowOptions = How(),  # noqa: B008  (frozen)
    json_: Json = False,
) -> None:
    """Paint the content of one image in the style of others.

    Parameters
    ----------
    content
        An image file, or the name of an embedded photo.
    styles
        One style image or more.
    network
        Whose layers see content and style: efficientnet-lite0, timm:NAME, torchvision:NAME or a run folder.
    out
        The PNG file to write.
    size
        Longer side of the result in pixels.
    content_weight
        Weight of the content.
    style_weight
        Weight of the style.
    content_layer
        Where content is compared; by default the layer of the third resolution.
    style_layer
        Layers whose Gram matrices make the style, as LAYER or LAYER=weight; by default one for each resolution.
    mix
        A weight for each style image; by default all alike.
    mask
        A grey image for each style: white where the content takes it on.
    smooth
        Weight of the total variation, which is held down.
    start
        Begin with the content, or with noise.
    optimizer
        L-BFGS, or Adam.
    lr
        Learning rate of Adam.
    steps
        At each size.
    scales
        Sizes on the way to the full one, for coarse strokes first: 1 paints at the full size alone.
    keep_colors
        Take brightness alone from the styles, and leave the content its colours.
    """
    from pendio.ascent.style import Recipe, StyleImage, stylize
    from pendio.pictures.png import image_png

    if not styles:
        raise InputError("give one style image or more: pendio style CONTENT STYLE …")
    for option, given in (("--mix", mix), ("--mask", mask)):
        if given and len(given) != len(styles):
            raise InputError(f"{option} has {len(given)} values for {len(styles)} styles; give one each")
    if any(not weight > 0 for weight in mix):
        raise InputError(f"--mix must be greater than 0, got {min(mix):g}")
    recipe = Recipe(
        content_weight=content_weight, style_weight=style_weight, content_layer=content_layer,
        style_layers=dict(_layer_weight(text) for text in style_layer), smooth=smooth, start=start, rule=optimizer, lr=lr,
        steps=steps, scales=scales, keep_colors=keep_colors,
    )  # fmt: skip
    opened = how.open(network)
    pixels = as_floats(content, opened, size)
    images = [
        StyleImage(
            as_floats(text, opened, size), mix[number] if mix else 1.0,
            read_mask(mask[number], pixels.shape[2:]) if mask else None,
        )
        for number, text in enumerate(styles)
    ]  # fmt: skip
    with climbing("style", steps * scales) as bar:
        made = stylize(opened, pixels, images, recipe, seed=how.seed, precision=how.precision, on_step=bar)
    write_file(out, image_png(made.image[0]))
    share = made.end / made.begin
    result = {
        "file": str(out), "content_loss": made.content, "style_loss": made.style, "loss_of_noise": made.begin,
        "loss": made.end, "share": share,
    }  # fmt: skip
    if json_:
        print_json(result)
    else:
        print(
            f"wrote {out}: loss {made.end:.4g}, {share:.2%} of noise's; content {made.content:.3g}, style {made.style:.3g}"
        )


def _layer_weight(text: str) -> tuple[str, float]:
    layer, equals, weight = text.partition("=")
    try:
        return layer, float(weight) if equals else 1.0
    except ValueError as error:
        raise InputError(f"--style-layer '{text}' has no number after '='") from error
