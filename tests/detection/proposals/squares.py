"""A set that a small network learns in seconds: coloured shapes on grey noise."""

import torch

from pendio.data.annotations.boxes import Boxed, BoxReader, box_stream
from pendio.data.examples import Data
from pendio.errors import InputError

SIZE = 64
CLASSES = ("red", "blue")
_COLORS = torch.tensor([[220, 30, 30], [30, 30, 220]], dtype=torch.uint8)


class Squares:
    """One to three rectangles an image, of which some may be of a crowd; ``broken`` images cannot be read."""

    def __init__(self, count, seed, broken=(), crowd=False):
        self.count, self.seed, self.broken, self.crowd, self.size = count, seed, broken, crowd, SIZE

    def __len__(self):
        return self.count

    def load(self, number):
        if number in self.broken:
            raise InputError(f"image {number} is damaged")
        generator = torch.Generator().manual_seed(1000 * self.seed + number)
        image = torch.randint(100, 140, (3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
        # A cell each, so that none hides another.
        cells = torch.randperm(4, generator=generator)[: 1 + number % 3]
        labels = torch.randint(2, (len(cells),), generator=generator)
        boxes = torch.zeros(len(cells), 4)
        for row, cell in enumerate(cells.tolist()):
            left, top = (
                torch.randint(2, 8, (2,), generator=generator) + torch.tensor([cell % 2, cell // 2]) * 32
            ).tolist()
            width, height = torch.randint(12, 22, (2,), generator=generator).tolist()
            image[:, top : top + height, left : left + width] = _COLORS[labels[row]][:, None, None]
            boxes[row] = torch.tensor([left, top, left + width, top + height])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        return Boxed(image, boxes, labels, torch.full(labels.shape, self.crowd), areas, SIZE, SIZE)

    def name(self, number):
        return f"image {number}"


def squares_data(train=48, val=16, augmented=False, **changes):
    splits = [
        box_stream(BoxReader(Squares(count, seed, **changes), SIZE)) for seed, count in enumerate((train, val, val))
    ]
    return Data(
        "squares", *splits, CLASSES, (3, SIZE, SIZE), (0.45,) * 3, (0.2,) * 3, kind="boxes", augmented=augmented
    )
