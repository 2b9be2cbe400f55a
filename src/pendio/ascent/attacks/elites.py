"""Images evolved from nothing that a network is sure of (Nguyen et al., 2015, "Deep neural networks are easily fooled")."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.ascent.attacks.goal import eight_bit
from pendio.ascent.attacks.oracle import Oracle
from pendio.ascent.canvas import Palette, Spectrum, noise
from pendio.ascent.climb import OnStep
from pendio.ascent.reading import Precision
from pendio.data.randomness import uniforms
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Elites", "Generation", "map_elites"]


@dataclass(frozen=True)
class Generation:
    """How far an archive was after a generation.

    Attributes:
        queries: how many images the network had been asked about.
        coverage: share of the classes whose best image is taken for them.
        certainty: mean over classes of the best probability.
    """

    queries: int
    coverage: float
    certainty: float


@dataclass(frozen=True)
class Elites:
    """The best image of each class, and how they came about.

    Attributes:
        images: ``(K, C, H, W)`` in [0, 1], in steps of 1/255.
        probabilities: ``(K,)`` of each image's own class.
        queries: how many images the network was asked about.
        history: an entry a generation.
    """

    images: Tensor
    probabilities: Tensor
    queries: int
    history: list[Generation]


def map_elites(
    network: Network,
    *,
    budget: int = 20_000,
    batch: int = 20,
    mutation: float = 1.0,
    detail: int = 16,
    seed: int = 0,
    precision: Precision = "float32",
    on_generation: OnStep | None = None,
) -> Elites:
    """MAP-Elites with one niche a class (Mouret and Clune, 2015): for each class the image that the network is surest of.

    A genome is the Fourier spectrum of an image; all begin as white noise. Each generation takes genomes from niches at
    random and adds Gaussian noise, and each child competes in every niche, since an image on its way to one class is
    often a step towards another. The network is only run forward.

    Nothing keeps the images from looking like their class, and on a small network the surest sometimes do: compare them
    with the images that it learnt before calling it fooled.

    Args:
        network: of images ``(C, H, W)``; stays exactly as it is.
        budget: queries in all.
        batch: children a generation.
        mutation: largest standard deviation of the noise; each child has its own, down to a tenth of it.
        detail: side in pixels of the image whose spectrum evolves; larger images are that, enlarged.
        seed: of all draws.
        precision: number format of the network's passes.
        on_generation: told how many queries were made, and the mean certainty.

    Raises:
        InputError: the network takes no images, an option is not positive, or the budget has no room for a generation.
    """
    _check(network, budget, batch, mutation, detail)
    device = network.mean.device
    canvas = _Enlarged(network.shape, detail)
    oracle = Oracle(network, canvas, 1, budget, precision)
    archive = _Archive(canvas.start(seed, len(network.classes)).to(device))
    history: list[Generation] = []
    while left := oracle.left(account := torch.zeros(1, dtype=torch.long)):
        children = archive.children(min(batch, left), mutation, seed, len(history) + 1)
        archive.add(children, oracle.ask(children, account.expand(len(children))))
        queries = int(oracle.queries)
        history.append(Generation(queries, archive.coverage, float(archive.best.exp().mean())))
        if on_generation is not None:
            on_generation(queries, history[-1].certainty)
    images = canvas.images(archive.genomes, torch.arange(len(archive.genomes)))
    return Elites(images, archive.best.exp(), int(oracle.queries), history)


class _Archive:
    """A niche a class: the genome of the highest probability, and that probability.

    Attributes:
        genomes: ``(K, …)``.
        best: ``(K,)`` logarithms of probabilities: these still tell images apart whose probability rounds to 1.
        taken: ``(K,)`` what the network takes each class' image for.
    """

    def __init__(self, genomes: Tensor) -> None:
        self.genomes = genomes
        self.best = torch.full((len(genomes),), -torch.inf, device=genomes.device)
        self.taken = torch.full((len(genomes),), -1, device=genomes.device)

    def children(self, count: int, mutation: float, seed: int, generation: int) -> Tensor:
        """Genomes ``(count, …)`` that descend from niches drawn at random."""
        shape = self.genomes.shape[1:]
        draws = uniforms(seed, generation, torch.arange(count), 2 + shape.numel()).clamp_(min=2.0**-53)
        parents = self.genomes[(draws[:, 0] * len(self.genomes)).long().to(self.genomes.device)]
        # Evenly on a logarithmic scale, so that at any time some children explore and others refine.
        scale = mutation * 10 ** -draws[:, 1:2]
        noise = (scale * torch.special.ndtri(draws[:, 2:])).float()
        children: Tensor = parents + noise.view(count, *shape).to(parents.device)
        return children

    def add(self, genomes: Tensor, logits: Tensor) -> None:
        """Let genomes ``(n, …)`` with their logits ``(n, K)`` compete in every niche."""
        value, place = logits.log_softmax(1).max(0)
        better = value > self.best
        winners = place[better]
        self.best[better] = value[better]
        self.genomes[better] = genomes[winners]
        self.taken[better] = logits.argmax(1)[winners]

    @property
    def coverage(self) -> float:
        """Share of the classes whose image is taken for them."""
        return float((self.taken == torch.arange(len(self.taken), device=self.taken.device)).float().mean())


class _Enlarged:
    """Spectra of small images as images of full size, rounded to 255ths: what a saved picture shows is what was asked."""

    def __init__(self, shape: tuple[int, ...], detail: int) -> None:
        channels, *self._size = shape
        height, width = (min(side, detail) for side in self._size)
        self.genes = (channels, height, width // 2 + 1, 2)
        # All frequencies alike. When they fade as in natural images, the surest images of digits are digits: up to four of
        # ten then lie as near to one that was learnt as real test images do.
        palette = Palette(torch.eye(channels), torch.full((channels,), 0.5), decay=0.0)
        self._spectrum = Spectrum((channels, height, width), palette)

    def start(self, seed: int, count: int) -> Tensor:
        """Genomes ``(count, …)`` of white noise."""
        return noise(self.genes, seed, torch.arange(count))

    def images(self, points: Tensor, rows: Tensor) -> Tensor:
        """See :class:`Canvas`."""
        images = self._spectrum.images(points, rows)
        if list(images.shape[2:]) != self._size:
            images = F.interpolate(images, self._size, mode="bicubic")
        return eight_bit(images)


def _check(network: Network, budget: int, batch: int, mutation: float, detail: int) -> None:
    if len(network.shape) != 3:
        raise InputError(
            f"this network takes inputs of shape {network.shape}: images are evolved for networks of images"
        )
    if batch < 1 or detail < 1:
        raise InputError(f"--batch and --detail must be at least 1, got {batch} and {detail}")
    if budget < batch:
        raise InputError(
            f"--budget {budget} has no room for one generation of --batch {batch}: raise one or lower the other"
        )
    if not mutation > 0:
        raise InputError(f"--mutation must be positive, got {mutation:g}")
