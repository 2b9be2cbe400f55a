"""Reading a folder of images: pendio's stream against torchvision's ImageFolder, PIL transforms and DataLoader.

The work is the input pipeline of a ResNet-18, without the network: 2,000 JPEG photographs of 500×375 pixels become
normalised float batches ``(64, 3, 224, 224)``, with the same number of worker processes. Two pipelines:

- training: a random crop of 25 to 100 % of the area, resized to 224, flipped at random;
- evaluation: the shorter side resized to 256, the middle 224 × 224 cut out.

torchvision's side is the recipe that most training scripts contain: ``ImageFolder``, ``RandomResizedCrop`` or ``Resize``
and ``CenterCrop`` on PIL images, ``ToTensor``, ``Normalize``, all in the workers. pendio's is what `pendio train classify`
uses for a folder that does not fit into memory: batches travel as bytes, and the network normalises them where it is. That
is a GPU that has nothing else to do, or, in this benchmark, the very cores that also read; hence two columns, with and
without that step. The sides alternate, with new workers each round, whose start counts. The mean difference of their
evaluation batches is printed: it is that of two resizing filters.

    python benchmarks/image_folder.py
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torchvision.transforms.v2.functional as V
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pendio.data.augment import Augment
from pendio.data.embedded import PHOTOS, photo
from pendio.data.randomness import uniforms
from pendio.data.streams import ImageFiles, Stream
from pendio.nn.network import Network

SIZE, BATCH = 224, 64
CROP = 224 / 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_folder(folder: Path, count: int) -> None:
    """Cut ``count`` different photographs of 500×375 from the embedded ones, half of them in each of two classes."""
    for label in ("even", "odd"):
        (folder / label).mkdir()
    photos = [photo(name) for name in PHOTOS]
    draws = uniforms(0, 0, torch.arange(count), 3)
    for number in range(count):
        pixels = photos[number % len(photos)]
        height, width = pixels.shape[-2:]
        scale = min(height / 375, width / 500) * (0.6 + 0.4 * float(draws[number, 0]))
        rows, columns = int(375 * scale), int(500 * scale)
        top, left = int((height - rows) * float(draws[number, 1])), int((width - columns) * float(draws[number, 2]))
        cut = V.resized_crop(pixels, top, left, rows, columns, [375, 500], antialias=True)
        path = folder / ("even", "odd")[number % 2] / f"{number:05}.jpg"
        Image.fromarray(cut.permute(1, 2, 0).numpy()).save(path, quality=90)


def torchvision_batches(folder: Path, training: bool, workers: int) -> Iterator[Tensor]:
    shape = (
        [transforms.RandomResizedCrop(SIZE, scale=(0.25, 1.0)), transforms.RandomHorizontalFlip()]
        if training
        else [transforms.Resize(round(SIZE / CROP)), transforms.CenterCrop(SIZE)]
    )
    chain = transforms.Compose([*shape, transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    for images, _ in DataLoader(ImageFolder(folder, chain), BATCH, shuffle=training, num_workers=workers):
        yield images


def pendio_bytes(folder: Path, training: bool, workers: int) -> Iterator[Tensor]:
    paths = sorted(folder.rglob("*.jpg"))
    targets = torch.tensor([int(path.parent.name == "odd") for path in paths])
    augment = Augment(("crop", "flip"), 2) if training else None
    stream = Stream(ImageFiles(paths, targets, SIZE, CROP, False, augment))
    for batch in stream.batches(BATCH, epoch=0 if training else None, workers=workers):
        yield batch.inputs


def pendio_batches(folder: Path, training: bool, workers: int) -> Iterator[Tensor]:
    network = Network(torch.nn.Identity(), (3, SIZE, SIZE), MEAN, STD, ("even", "odd"))
    for images in pendio_bytes(folder, training, workers):
        yield network(images)


RACERS: dict[str, Callable[[Path, bool, int], Iterator[Tensor]]] = {
    "pendio, bytes": pendio_bytes,
    "pendio, normalised": pendio_batches,
    "torchvision, normalised": torchvision_batches,
}


def images_per_second(batches: Iterator[Tensor]) -> float:
    began = time.perf_counter()
    seen = sum(len(batch) for batch in batches)
    return seen / (time.perf_counter() - began)


def race(folder: Path, rounds: int, workers: int) -> None:
    print(f"| images/s | {' | '.join(RACERS)} | ratios |\n| --- | --- | --- | --- | --- |")
    for name, training in (("training", True), ("evaluation", False)):
        speeds: dict[str, list[float]] = {racer: [] for racer in RACERS}
        for _ in range(rounds):
            for racer, batches in RACERS.items():
                speeds[racer].append(images_per_second(batches(folder, training, workers)))
        medians = [statistics.median(speeds[racer]) for racer in RACERS]
        ratios = " and ".join(f"{ours / medians[-1]:.2f}" for ours in medians[:-1])
        print(f"| {name} | {' | '.join(f'{speed:.0f}' for speed in medians)} | {ratios} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="how many")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs")
    parser.add_argument("--workers", type=int, default=2, help="processes that read, on either side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_folder(folder, options.images)
        race(folder, options.rounds, options.workers)
        ours, theirs = (next(batches(folder, False, 0)) for batches in (pendio_batches, torchvision_batches))
        difference = ((ours - theirs) * torch.tensor(STD).view(1, 3, 1, 1)).abs().mean()
        print(f"mean absolute difference of a pixel in evaluation: {float(difference) * 255:.2f} of 255")
    usage = [resource.getrusage(who).ru_maxrss >> 10 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"peak memory: {usage[0]} MB, largest worker {usage[1]} MB")


if __name__ == "__main__":
    main()
