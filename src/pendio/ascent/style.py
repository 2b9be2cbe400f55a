"""Style transfer: the content of one image in the style of others (Gatys, Ecker and Bethge, 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.ascent.audit import look
from pendio.ascent.canvas import Pixels
from pendio.ascent.climb import OnStep, climb, counting_from
from pendio.ascent.constraints import box
from pendio.ascent.levels import check_size, painting_layers
from pendio.ascent.objectives import Objective, gram, matching, sum_of, total_variation
from pendio.ascent.objectives import style as like_style
from pendio.ascent.reading import Precision, Reader, frozen
from pendio.ascent.rules import LBFGS, Adam, Rule
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Recipe", "StyleImage", "Stylized", "keep_colors", "match_colors", "stylize"]


@dataclass(frozen=True)
class StyleImage:
    """An image whose style is taken.

    Attributes:
        image: ``(1, C, H, W)`` in [0, 1], of any size.
        weight: relative to the other styles'.
        mask: ``(1, 1, h, w)``, the region of the content that takes it on; None for all of it.
    """

    image: Tensor
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class Recipe:
    """What counts and how much, and how it is reached.

    Attributes:
        content_weight: α.
        style_weight: β.
        content_layer: where content is compared; by default the layer of the third resolution.
        style_layers: layer → γ_l; by default one layer for each of the first five resolutions, all alike.
        smooth: weight of the total variation.
        start: "content", or "noise".
        rule: "lbfgs" or "adam".
        lr: of Adam.
        steps: at each size.
        scales: sizes on the way to the full one, each about √2 smaller than the next: coarse strokes first.
        keep_colors: take the brightness alone from the styles. Otherwise the content is first given their colours, which
            the layers of a modern network hardly ask for.
    """

    content_weight: float = 1.0
    style_weight: float = 100.0
    content_layer: str | None = None
    style_layers: Mapping[str, float] = field(default_factory=dict)
    smooth: float = 0.05
    start: Literal["content", "noise"] = "content"
    rule: Literal["lbfgs", "adam"] = "lbfgs"
    lr: float = 0.02
    steps: int = 150
    scales: int = 2
    keep_colors: bool = False

    def __post_init__(self) -> None:
        for name in ("content_weight", "style_weight", "smooth"):
            if not getattr(self, name) >= 0:
                raise InputError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name):g}")
        if self.steps < 1 or self.scales < 1:
            raise InputError(f"--steps and --scales must be at least 1, got {self.steps} and {self.scales}")
        if self.content_weight == 0 and self.style_weight == 0:
            raise InputError("--content-weight and --style-weight are both 0: nothing would count")


@dataclass(frozen=True)
class Stylized:
    """What came of it.

    Attributes:
        image: ``(1, C, H, W)`` in [0, 1].
        content, style: the two losses at the end, at the full size.
        begin: α·content + β·style of noise at the full size.
        end: the same of the image, before colours were put back.
    """

    image: Tensor
    content: float
    style: float
    begin: float
    end: float


def stylize(
    network: Network,
    content: Tensor,
    styles: Sequence[StyleImage],
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    precision: Precision = "float32",
    on_step: OnStep | None = None,
) -> Stylized:
    """Minimise α·L_content + β·L_style over images, where L_content compares a deep layer and L_style Gram matrices.

    Both losses are relative: ‖difference‖²/‖wanted‖², so that weights mean the same in every network and layer.

    Args:
        network: whose layers see content and style.
        content: ``(1, C, H, W)`` in [0, 1]; the result has its size.
        styles: whose styles are mixed.
        recipe: what counts, and how it is reached.
        seed: of the noise.
        precision: number format of the network's passes.
        on_step: told how it goes, over all sizes.

    Raises:
        InputError: there is no style, a layer is missing, or an image does not suit the network.
    """
    recipe = recipe or Recipe()
    if not styles:
        raise InputError("give one style image or more")
    subject = content if recipe.keep_colors else match_colors(content, styles)
    for picture in (content, *(style.image for style in styles)):
        check_size(network, [], tuple(picture.shape[1:]))
    shrink = [2 ** (level / 2) for level in reversed(range(recipe.scales))]
    image: Tensor | None = None
    row, done = torch.zeros(1, dtype=torch.long), 0
    for factor in shrink:
        size = [round(side / factor) for side in content.shape[2:]]
        scaled = _resized(subject, size)
        wanted = _objectives(network, scaled, styles, recipe)
        random = Pixels.start((scaled.shape[1], *scaled.shape[2:]), seed, row, 0.2).to(scaled)
        begin = random if recipe.start == "noise" else scaled
        # Coarse sizes hand their strokes on.
        begin = begin if image is None else _resized(image, size)
        rule: Rule = LBFGS() if recipe.rule == "lbfgs" else Adam(recipe.lr)
        total = wanted["content"] + wanted["style"]
        image = climb(
            network, total - recipe.smooth * total_variation(), Pixels(), begin, rule=rule, steps=recipe.steps,
            project=box, precision=precision, on_step=counting_from(done, on_step),
        ).images  # fmt: skip
        done += recipe.steps
    assert image is not None
    losses = {name: -float(look(network, part, image, row)[0]) for name, part in wanted.items()}
    begin_loss = -float(look(network, total, random, row)[0])
    shown = keep_colors(content, image) if recipe.keep_colors and content.shape[1] == 3 else image
    return Stylized(
        shown, losses["content"] / (recipe.content_weight or 1), losses["style"] / (recipe.style_weight or 1),
        begin_loss, losses["content"] + losses["style"],
    )  # fmt: skip


def _resized(image: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(image.shape[2:]) == tuple(size):
        return image
    return box(F.interpolate(image, tuple(size), mode="bicubic", antialias=True))


def _objectives(
    network: Network, content: Tensor, styles: Sequence[StyleImage], recipe: Recipe
) -> dict[str, Objective]:  # fmt: skip
    """α times the content's objective and β times the styles'."""
    content_layer, found = painting_layers(network, tuple(content.shape[1:]))
    content_layer = recipe.content_layer or content_layer
    layers = dict(recipe.style_layers) or dict.fromkeys(found, 1.0)
    total = sum(style.weight for style in styles)
    side, parts = max(content.shape[2:]), []
    with frozen(network), torch.no_grad():
        target = Reader(network, [content_layer])(content)[content_layer]
        reader = Reader(network, layers)
        for style in styles:
            # A style seen at the content's size has strokes of the content's size.
            scale = side / max(style.image.shape[2:])
            image = _resized(style.image, [max(8, round(length * scale)) for length in style.image.shape[2:]])
            readings = reader(image)
            grams = {layer: gram(readings[layer].float()) for layer in layers}
            mask = None if style.mask is None else style.mask.to(content)
            parts.append(style.weight / total * like_style(grams, layers, mask))
    return {
        "content": recipe.content_weight * matching(content_layer, target),
        "style": recipe.style_weight / sum(layers.values()) * sum_of(parts),
    }


def match_colors(content: Tensor, styles: Sequence[StyleImage]) -> Tensor:
    """The content with the styles' mean colour and covariance: x ↦ Σ_s^½ Σ_c^−½ (x − μ_c) + μ_s."""
    share = torch.tensor([style.weight for style in styles], dtype=torch.float64)
    means, covariances = zip(*(_colors(style.image) for style in styles), strict=True)
    share = (share / share.sum()).view(-1, 1)
    mean = (share * torch.stack(means)).sum(0)
    covariance = (share[:, :, None] * torch.stack(covariances)).sum(0)
    own_mean, own = _colors(content)
    matrix = _root(covariance) @ torch.linalg.inv(_root(own))
    pixels = content.double().flatten(2) - own_mean.view(1, -1, 1)
    return box((matrix @ pixels + mean.view(1, -1, 1)).view(content.shape).to(content))


def _colors(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(C,)`` and covariance ``(C, C)`` of an image's pixels."""
    pixels = image.double().flatten(2)[0]
    mean = pixels.mean(1)
    apart = pixels - mean[:, None]
    return mean, apart @ apart.T / pixels.shape[1] + 1e-5 * torch.eye(len(mean), dtype=torch.float64)


def _root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a covariance."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    return root


def keep_colors(content: Tensor, image: Tensor) -> Tensor:
    """The brightness of ``image`` with the colours of ``content``, ``(N, 3, H, W)`` each (Gatys et al., 2016, "Preserving
    Color"): only the luma Y = 0.299 R + 0.587 G + 0.114 B is taken over.
    """
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1).to(image)
    return box(content + ((image - content) * weights).sum(1, keepdim=True))
