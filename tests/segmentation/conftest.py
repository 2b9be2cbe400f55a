import pytest
import torch

from pendio.data.examples import Data, Examples, Resident
from pendio.nn.network import Network
from pendio.pictures.masks import mask_png
from pendio.pictures.png import image_png
from pendio.segmentation.networks.unet import UNet
from pendio.segmentation.options import SegmentOptions
from pendio.segmentation.recipe import segment
from pendio.segmentation.task import Segmenter

CLASSES = ("background", "square", "stripe")


def shapes(count, size=32, seed=0, ignored=False):
    """Bright squares and dark stripes on noise, and which pixel is what: uint8 ``(N, 3, S, S)`` and ``(N, S, S)``."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(90, 140, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(count, size, size, dtype=torch.uint8)
    for number in range(count):
        top, left, row = torch.randint(0, size - 11, (3,), generator=generator).tolist()
        masks[number, row : row + 3] = 2
        masks[number, top : top + 10, left : left + 10] = 1
    shade = torch.tensor([0, 100, -80])[masks.long()][:, None]
    images = (images + shade).clamp(0, 255).to(torch.uint8)
    if ignored:
        masks[:, :, :3] = 255
    return images, masks


def make_data(train=24, val=6, size=32, **changes):
    """Shapes in memory, as the recipe would open them."""
    splits = [Resident(*shapes(count, size, seed)) for seed, count in enumerate((train, val, val))]
    counts = tuple(torch.bincount(splits[0].targets.flatten(), minlength=3).tolist())
    facts = {"mean": (0.45,) * 3, "std": (0.15,) * 3, "kind": "masks", "class_counts": counts}
    return Data("shapes", *splits, CLASSES, (3, size, size), **{**facts, **changes})


def make_task(width=4, classes=CLASSES, seed=0, size=32, **options):
    """An untrained U-Net of two levels."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet = UNet(3, len(classes), width, depth=2)
    return Segmenter(Network(unet, (3, size, size), (0.45,) * 3, (0.15,) * 3, classes), **options)


def batch_of(count=4, **options):
    images, masks = shapes(count, **options)
    return Examples(images, masks, torch.arange(count))


@pytest.fixture(scope="session")
def trained():
    """A task that has learnt the shapes."""
    task = make_task(8).train()
    optimizer = torch.optim.Adam(task.parameters(), 0.01)
    data = make_data()
    for epoch in range(12):
        for batch in data.train.batches(8, epoch=epoch):
            loss = task.loss(batch)
            (loss.total / loss.weight).backward()
            optimizer.step()
            optimizer.zero_grad()
    return task.eval().requires_grad_(False)


QUICK = {"size": 32, "width": 4, "epochs": 16, "batch": 8, "lr": 1e-2, "augment": "none", "save_every": 1000.0}
"""Options of a training that takes seconds."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Shapes as images and masks in folders."""
    root = tmp_path_factory.mktemp("session") / "shapes"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number, (image, mask) in enumerate(zip(*shapes(40, seed=5, ignored=True), strict=True)):
        (root / "images" / f"{number:02}.png").write_bytes(image_png(image))
        (root / "masks" / f"{number:02}.png").write_bytes(mask_png(mask))
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return root


def train(folder, out, **options):
    return segment(SegmentOptions.of({"data": str(folder), "out": str(out), **QUICK, **options}), progress=False)


@pytest.fixture(scope="session")
def run(folder, tmp_path_factory):
    return train(folder, tmp_path_factory.mktemp("session") / "run", loss="ce+dice", class_weights="median-frequency")
