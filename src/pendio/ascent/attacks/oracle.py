"""An oracle: a network that may only be asked, and not too often."""

import torch
from torch import Tensor

from pendio.ascent.attacks.goal import Goal
from pendio.ascent.canvas import Canvas
from pendio.ascent.reading import LOGITS, Precision, Reader, frozen
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Hunt", "Oracle"]

# What is asked at once: few enough images to stay in a processor's cache, and few enough values to fit in memory.
_IMAGES = 512
_VALUES = 2**23


class Oracle:
    """A network that is run forward and never backward, with a budget of queries for each of some images.

    A query is one image that the network is run on. One that would exceed the budget is never run.

    Args:
        network: stays exactly as it is.
        canvas: the images that points stand for; they are drawn only when it is their turn, to save memory.
        count: for how many images the queries are counted.
        budget: queries for each of them.
        precision: number format of the network's passes.

    Raises:
        InputError: the budget is not positive.
    """

    def __init__(
        self, network: Network, canvas: Canvas, count: int, budget: int, precision: Precision = "float32"
    ) -> None:
        if budget < 1:
            raise InputError(f"--budget must be at least 1 query an image, got {budget}")
        self.budget = budget
        self.queries = torch.zeros(count, dtype=torch.long)
        self._network, self._canvas = network, canvas
        self._reader = Reader(network, [LOGITS], precision)

    def left(self, rows: Tensor) -> int:
        """How many queries are left to each of the images ``rows``: the smallest number among them, 0 without any."""
        return self.budget - int(self.queries[rows.cpu()].max()) if len(rows) else 0

    @torch.no_grad()
    def ask(self, points: Tensor, rows: Tensor) -> Tensor:
        """Logits ``(n, K)`` of what ``points`` stand for.

        Args:
            points: ``(n, …)`` of the canvas, n ≥ 1.
            rows: ``(n,)`` on which image's account each goes; an image may come several times.

        Raises:
            ValueError: an image's budget does not reach; nothing was asked then.
        """
        asked = torch.bincount(rows.cpu(), minlength=len(self.queries))
        if bool((self.queries + asked > self.budget).any()):
            raise ValueError("more queries than the budget allows: look at `left` first")
        self.queries += asked
        with frozen(self._network):
            chunks = range(0, len(points), self._at_once(points, rows))
            size = chunks.step
            return torch.cat([self._logits(points[at : at + size], rows[at : at + size]) for at in chunks])

    def _at_once(self, points: Tensor, rows: Tensor) -> int:
        return max(1, min(_IMAGES, _VALUES // self._canvas.images(points[:1], rows[:1]).numel()))

    def _logits(self, points: Tensor, rows: Tensor) -> Tensor:
        return self._reader(self._canvas.images(points, rows), rows)[LOGITS].float()


class Hunt:
    """An attack that only asks: what it knows of each image, and which it is still after.

    Args:
        network: stays exactly as it is.
        canvas: the images that points stand for.
        images: ``(N, C, H, W)`` in [0, 1], the originals.
        goal: what each shall be taken for.
        budget: queries for each image.
        precision: number format of the network's passes.

    Attributes:
        active: ``(n,)`` the images whose goal is not reached yet.
        found: ``(N, C, H, W)`` of each image the one that came nearest to the goal.
        reached: ``(N,)``.
    """

    def __init__(
        self, network: Network, canvas: Canvas, images: Tensor, goal: Goal, budget: int, precision: Precision
    ) -> None:
        self._oracle = Oracle(network, canvas, len(images), budget, precision)
        self._canvas, self._goal = canvas, goal
        self._best = torch.full((len(images),), -torch.inf, device=images.device)
        self.active = torch.arange(len(images), device=images.device)
        self.found = images.clone()
        self.reached = torch.zeros(len(images), dtype=torch.bool, device=images.device)

    @property
    def left(self) -> int:
        """How many queries each image may still cost; 0 when no image is left."""
        return self._oracle.left(self.active)

    @property
    def queries(self) -> Tensor:
        """``(N,)`` how often the network was run on each image."""
        return self._oracle.queries.to(self.found.device)

    def ask(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Try candidates, as many of each image as its budget allows; images whose goal they reach are done.

        Args:
            points: ``(n, m, …)`` of the active images.

        Returns:
            ``(n, m')`` margins of the first m' candidates, and ``(n,)`` which of the images go on.
        """
        points = points[:, : self.left]
        count = points.shape[1]
        rows = self.active.repeat_interleave(count)
        margins = self._goal.margin(self._oracle.ask(points.flatten(0, 1), rows), rows).view(-1, count)
        best, place = margins.max(1)
        better = best > self._best[self.active]
        chosen = self.active[better]
        winners = points[better, place[better]]
        if len(chosen):
            self.found[chosen] = self._canvas.images(winners, chosen)
        self._best[chosen] = best[better]
        stay = self._best[self.active] <= 0
        self.reached[self.active[~stay]] = True
        self.active = self.active[stay]
        return margins, stay
