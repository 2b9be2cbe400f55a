import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "owl")


def picture(seed, size=(40, 30)):
    """A colour picture that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 5, size[0] // 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def fill(folder, counts, start=0, size=(40, 30), suffix="jpg"):
    """Class subfolders with so many pictures each."""
    seed = start
    for label, count in counts.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            seed += 1
            picture(seed, size).save(folder / label / f"{label}{number:03}.{suffix}")
    return folder


@pytest.fixture
def images(tmp_path):
    """Ten pictures of each of three classes."""
    return fill(tmp_path / "images", dict.fromkeys(CLASSES, 10))
