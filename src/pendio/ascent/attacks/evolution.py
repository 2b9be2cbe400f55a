"""Attacks by evolution, which only ask the network: differential evolution of a few pixels, and a genetic attack.

Every image of a batch meets the same random draws, so that what comes of it does not depend on the others.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.ascent.attacks.goal import Attacked, Goal, check_images, eight_bit
from pendio.ascent.attacks.oracle import Hunt
from pendio.ascent.reading import Precision
from pendio.data.randomness import uniforms
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["FewPixel", "Genetic"]


@dataclass(frozen=True)
class FewPixel:
    """The one-pixel attack and its kin: differential evolution of pixels' places and colours (Su et al., 2019).

    A child is a + weight · (b − c) of three other members (Storn and Price, 1997); it takes its parent's place unless it is
    worse. Changed pixels hold 255ths and all others stay, so that images which came from 8-bit files are saved without loss.

    Where it departs from Su et al.: the first generations set one pixel after another, each where it helps most; children
    inherit some pixels of their parent; and some pixels are drawn anew.

    Attributes:
        pixels: how many may change at most.
        budget: queries an image.
        population: members of a generation.
        weight: of the difference of two members by which a third is moved.
        crossover: chance of each pixel of a child to be moved; the others are its parent's.
        fresh: chance of each moved pixel to be drawn anew instead.
    """

    pixels: int = 1
    budget: int = 5000
    population: int = 200
    weight: float = 0.5
    crossover: float = 0.5
    fresh: float = 0.2

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise InputError(f"--pixels must be at least 1, got {self.pixels}")
        if self.population < 4:
            raise InputError(f"--population must be at least 4 for differential evolution, got {self.population}")
        _check_budget(self.budget, self.population)
        if not 0 < self.weight <= 2:
            raise InputError(f"--weight must be above 0 and at most 2, got {self.weight:g}")
        _check_share("--crossover", self.crossover)
        _check_share("--fresh", self.fresh)

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """See :class:`Attack`.

        Raises:
            InputError: see :func:`check_images`; or the images have fewer pixels than may change.
        """
        check_images(network, images, goal)
        height, width = images.shape[2:]
        if self.pixels > height * width:
            raise InputError(
                f"--pixels {self.pixels} is more than the {height * width} that {height}×{width} images have"
            )
        hunt = Hunt(network, _Dots(images), images, goal, self.budget, precision)
        draw = _Draw(images, seed)
        members, margins = self._first(hunt, draw)
        generation = self.pixels
        while hunt.left:
            children = self._children(members, draw, generation)
            found, stay = hunt.ask(children)
            asked = found.shape[1]
            better = found >= margins[:, :asked]
            members[:, :asked] = torch.where(better[..., None, None], children[:, :asked], members[:, :asked])
            margins[:, :asked] = torch.where(better, found, margins[:, :asked])
            members, margins = members[stay], margins[stay]
            generation += 1
        return Attacked(images, hunt.found, hunt.reached, hunt.queries)

    def _first(self, hunt: Hunt, draw: "_Draw") -> tuple[Tensor, Tensor]:
        """The first population ``(n, members, pixels, 2 + C)`` and its margins: the best that a greedy search has met.

        A population of random sets of pixels holds good pixels but no good set. Setting one after another finds one for
        as many queries as a few generations cost: on digits, two pixels fool 83 % of images this way within 400 queries,
        and 71 % from random sets within 2,000.
        """
        # Pixels that are not set yet repeat the one before them: at first, one pixel in the colour that it has.
        chain = torch.zeros(len(hunt.active), 1, self.pixels, 2 + hunt.found.shape[1], device=hunt.found.device)
        chain[..., 2:] = hunt.found[:, None, None, :, 0, 0]
        margins, stay = hunt.ask(chain)
        chain, members, margins = chain[stay], chain[stay], margins[stay]
        # Half of the budget is kept for the evolution.
        count = max(4, min(self.population, self.budget // (2 * self.pixels)))
        for pixel in range(self.pixels):
            if not hunt.left:
                break
            trials = chain.repeat(1, count, 1, 1)
            trials[:, :, pixel:] = draw.pixels(count, pixel)[None, :, None]
            found, stay = hunt.ask(trials)
            trials = trials[:, : found.shape[1]]
            chain = trials.take_along_dim(found.argmax(1)[:, None, None, None], 1)[stay]
            members, margins = torch.cat([members, trials], 1)[stay], torch.cat([margins, found], 1)[stay]
            margins, order = margins.topk(min(self.population, margins.shape[1]), dim=1)
            members = members.take_along_dim(order[..., None, None], 1)
        return members, margins

    def _children(self, members: Tensor, draw: "_Draw", generation: int) -> Tensor:
        """A child ``(n, members, pixels, 2 + C)`` of each member."""
        size, pixels = members.shape[1:3]
        draws = draw.uniforms(generation, size, 4 + 2 * pixels)
        first, second, third = _three_others(draws[:, :3])
        moved = members[:, first] + self.weight * (members[:, second] - members[:, third])
        # A population that has closed in on one answer cannot move by its own differences any more.
        fresh = draws[:, 4 : 4 + pixels] < self.fresh
        moved = torch.where(fresh[..., None], draw.pixels(size, generation)[:, None], moved)
        crossed = draws[:, 4 + pixels :] < self.crossover
        crossed[torch.arange(size), (draws[:, 3] * pixels).long()] = True
        children = torch.where(crossed[..., None], moved, members)
        # Beyond the border it goes on at the other side, where a limit would gather pixels along the border.
        places = children[..., :2].round() % torch.tensor(draw.size, device=members.device)
        return torch.cat([places, eight_bit(children[..., 2:])], -1)


@dataclass(frozen=True)
class _Dots:
    """Images of which a few pixels are painted over, the last on top.

    Points are ``(N, pixels, 2 + C)``: y and x in pixels, and the colour in [0, 1].

    Attributes:
        base: ``(N, C, H, W)`` in [0, 1], the images below.
    """

    base: Tensor

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """See :class:`Canvas`."""
        images = self.base[rows]
        every = torch.arange(len(images), device=images.device)
        for pixel in points.unbind(1):
            y, x = pixel[:, :2].long().unbind(1)
            images[every, :, y, x] = pixel[:, 2:].to(images)
        return images


class _Draw:
    """Random numbers and random pixels for images like the given ones."""

    def __init__(self, images: Tensor, seed: int) -> None:
        self.channels, *self.size = images.shape[1:]
        self._seed, self._device = seed, images.device

    def uniforms(self, generation: int, count: int, draws: int) -> Tensor:
        """``(count, draws)`` in [0, 1)."""
        return uniforms(self._seed, 2 * generation, torch.arange(count), draws).to(self._device)

    def pixels(self, count: int, generation: int) -> Tensor:
        """Pixels ``(count, 2 + C)`` spread evenly over the image, of extreme colours: where one pixel has most effect.

        If there is room for every place in every extreme colour, all of them come first, and then random colours.
        """
        draws = uniforms(self._seed, 2 * generation + 1, torch.arange(1 + count), 2 + self.channels)
        shift, colors = draws[0, :2], draws[1:, 2:]
        height, width = self.size
        number = torch.arange(count)
        # Multiples of the plastic number's powers fill a square evenly from any start (Roberts, 2018).
        plastic = 1.32471795724474602596
        places = torch.stack([number / plastic, number / plastic**2], 1).double() + shift
        places = (places % 1 * torch.tensor(self.size)).floor()
        extremes, every = (colors < 0.5).double(), height * width * 2**self.channels
        if every <= count:
            place, corner = number[:every] // 2**self.channels, number[:every] % 2**self.channels
            places[:every] = torch.stack([place // width, place % width], 1).double()
            bits = (corner[:, None] >> torch.arange(self.channels)) & 1
            extremes = torch.cat([bits.double(), eight_bit(colors[every:])])
        return torch.cat([places, extremes], 1).float().to(self._device)


def _three_others(draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three different members for each of ``(members, 3)`` uniform draws, none of them itself."""
    size = len(draws)
    number = torch.arange(size, device=draws.device)
    a, b, c = (1 + (draws[:, i] * (size - 1 - i)).long() for i in range(3))
    b = b + (b >= a)
    c = c + (c >= torch.minimum(a, b))
    c = c + (c >= torch.maximum(a, b))
    return (number + a) % size, (number + b) % size, (number + c) % size


@dataclass(frozen=True)
class Genetic:
    """A genetic algorithm in the L∞ ball (Alzantot et al., 2019, "GenAttack").

    Parents are drawn with chances proportional to e^(margin/spread), the spread being that of their population's margins;
    each part of a child comes from one of both parents, in proportion to their chances; some parts are turned over; and
    the best member goes on as it is. Images hold 255ths.

    Where it departs from Alzantot et al.: each part of an image goes to its lowest or its highest value and nowhere between,
    since a network is nearly linear in a small ball and highest at its corners; and the rate of mutation falls for each
    image on its own.

    Attributes:
        epsilon: the largest change of a value, in units of the images' range: 8/255 is eight grey levels.
        budget: queries an image.
        population: members of a generation.
        mutation: chance of each part to be turned over, at first. It falls by a tenth in each generation without progress,
            down to one part a child.
        cells: parts a side that change as one; smaller images change by single pixels.
    """

    epsilon: float = 8 / 255
    budget: int = 5000
    population: int = 10
    mutation: float = 0.1
    cells: int = 32

    def __post_init__(self) -> None:
        if not 1 / 255 - 1e-6 <= self.epsilon <= 1:
            raise InputError(
                f"--epsilon must be from 1/255 = 0.00392, one grey level, to 1 for the genetic attack, got {self.epsilon:g}"
            )
        if self.population < 2:
            raise InputError(f"--population must be at least 2 for the genetic attack, got {self.population}")
        _check_budget(self.budget, self.population)
        _check_share("--mutation", self.mutation)
        if self.cells < 1:
            raise InputError(f"--cells must be at least 1, got {self.cells}")

    def __call__(
        self, network: Network, images: Tensor, goal: Goal, *, seed: int = 0, precision: Precision = "float32"
    ) -> Attacked:
        """See :class:`Attack`."""
        check_images(network, images, goal)
        hunt = Hunt(network, _Corners.of(images, self.epsilon), images, goal, self.budget, precision)
        channels, height, width = images.shape[1:]
        shape = (channels, min(height, self.cells), min(width, self.cells))
        hunt.ask(torch.zeros(len(images), 1, *shape, device=images.device))
        draws = uniforms(seed, 0, torch.arange(self.population), torch.Size(shape).numel()).to(images.device)
        members = torch.where(draws < 0.5, -1.0, 1.0).view(-1, *shape).repeat(len(hunt.active), 1, 1, 1, 1)
        if hunt.left:
            self._evolve(hunt, members, seed)
        return Attacked(images, hunt.found, hunt.reached, hunt.queries)

    def _evolve(self, hunt: Hunt, members: Tensor, seed: int) -> None:
        """From members ``(n, population, C, h, w)`` on, until all images are done or the budget is spent."""
        margins, stay = hunt.ask(members)
        members, margins = members[stay], margins[stay]
        rate = torch.full((len(members),), self.mutation, device=members.device)
        lowest, generation = min(self.mutation, 1 / members.shape[2:].numel()), 1
        while hunt.left:
            top, place = margins.max(1, keepdim=True)
            best = members.take_along_dim(place[..., None, None, None], 1)
            children = self._children(members, margins, rate, seed, generation)
            found, stay = hunt.ask(children)
            rate = torch.where(found.amax(1) > top[:, 0], rate, (0.9 * rate).clamp(min=lowest))[stay]
            members = torch.cat([best, children[:, : found.shape[1]]], 1)[stay]
            margins = torch.cat([top, found], 1)[stay]
            generation += 1

    def _children(self, members: Tensor, margins: Tensor, rate: Tensor, seed: int, generation: int) -> Tensor:
        """Children ``(n, population − 1, C, h, w)``."""
        flat = members.flatten(2)
        size = flat.shape[2]
        draws = uniforms(seed, generation, torch.arange(self.population - 1), 2 + 2 * size).to(flat.device)
        chances = (margins / margins.std(1, keepdim=True).clamp(min=1e-12)).softmax(1)
        wheel = chances.cumsum(1)[:, None]
        one, other = ((draws[:, i].float()[:, None] >= wheel).sum(2).clamp(max=flat.shape[1] - 1) for i in range(2))
        share = chances.gather(1, one) / (chances.gather(1, one) + chances.gather(1, other))
        mixed = torch.where(
            draws[:, 2 : 2 + size] < share[..., None],
            flat.take_along_dim(one[..., None], 1),
            flat.take_along_dim(other[..., None], 1),
        )
        turned = draws[:, 2 + size :] < rate[:, None, None]
        return torch.where(turned, -mixed, mixed).view(len(flat), -1, *members.shape[2:])


@dataclass(frozen=True)
class _Corners:
    """Images whose values stay (0) or go to the lowest (−1) or highest (1) that they may have.

    Points are ``(N, C, h, w)`` of −1, 0 and 1, each for a part of the image.

    Attributes:
        base: ``(N, C, H, W)`` in [0, 1].
        lowest, highest: the same shape.
    """

    base: Tensor
    lowest: Tensor
    highest: Tensor

    @staticmethod
    def of(images: Tensor, epsilon: float) -> "_Corners":
        """The outermost 255ths within ``epsilon`` of images."""
        slack = 1e-4  # of a grey level: 8/255 shall be eight of them, however it was rounded
        lowest = (255 * (images - epsilon) - slack).ceil().clamp(min=0) / 255
        return _Corners(images, lowest, (255 * (images + epsilon) + slack).floor().clamp(max=255) / 255)

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """See :class:`Canvas`."""
        signs = F.interpolate(points, self.base.shape[2:], mode="nearest-exact")
        outer = torch.where(signs < 0, self.lowest[rows], self.highest[rows])
        return torch.where(signs == 0, self.base[rows], outer)


def _check_budget(budget: int, population: int) -> None:
    # One query is for the image as it is.
    if budget <= population:
        raise InputError(
            f"--budget {budget} has no room for the image and --population {population}: at least {population + 1}"
        )


def _check_share(option: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{option} is a share, from 0 to 1, got {value:g}")
