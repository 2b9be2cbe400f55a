"""Predicting images, tables and points with a network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pendio.data.arrays import read_numbers
from pendio.data.images import ImageError
from pendio.data.inputs import named_images
from pendio.data.streams import frame
from pendio.errors import InputError
from pendio.nn.network import Network

__all__ = ["Prediction", "predict"]


@dataclass(frozen=True)
class Prediction:
    """What a network says of one input: its likeliest classes with their probabilities, the likeliest first."""

    input: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    def to_dict(self) -> dict[str, object]:
        """For ``--json``."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        top = [{"class": name, "probability": value} for name, value in pairs]
        return {"input": self.input, "class": self.classes[0], "probability": self.probabilities[0], "top": top}


@torch.inference_mode()
def predict(
    network: Network, inputs: Sequence[str], top: int = 5, batch: int = 32
) -> Iterator[Prediction | ImageError]:
    """Predict each input in turn; of a folder, each image in it.

    An input that was named itself must be readable. An unreadable image inside a folder comes out as an error in its
    place, and the others go on.

    Args:
        network: takes images, or points and tables.
        inputs: image files, folders of them, names of embedded photographs, "photos" for all of those, or for a network
            of numbers CSV files with a column for each.
        top: how many classes to report.
        batch: inputs the network sees at once.

    Raises:
        InputError: an input does not exist or cannot be read.
    """
    network.eval()
    if len(network.shape) == 1:
        for text in inputs:
            yield from _rows(network, text, top)
        return
    names, images = [], []
    for name, image in _images(network, inputs):
        if isinstance(image, ImageError):
            yield image
            continue
        names.append(name)
        images.append(image)
        if len(images) == batch:
            yield from _answers(network, names, torch.stack(images), top)
            names, images = [], []
    if images:
        yield from _answers(network, names, torch.stack(images), top)


def _answers(network: Network, names: Sequence[str], inputs: Tensor, top: int) -> Iterator[Prediction]:
    probabilities, classes = network(inputs).float().softmax(1).topk(min(top, len(network.classes)), dim=1)
    for name, values, numbers in zip(names, probabilities.tolist(), classes.tolist(), strict=True):
        yield Prediction(name, tuple(network.classes[number] for number in numbers), tuple(values))


def _images(network: Network, inputs: Sequence[str]) -> Iterator[tuple[str, Tensor | ImageError]]:
    """Each image of the inputs, brought to the network's size."""
    channels, height, _ = network.shape
    for name, image in named_images(inputs, grey=channels == 1):
        yield name, image if isinstance(image, ImageError) else frame(image, height, network.crop)


def _rows(network: Network, text: str, top: int) -> Iterator[Prediction]:
    if not Path(text).is_file():
        raise InputError(f"there is no CSV file '{text}'; this network takes {network.shape[0]} numbers an example")
    numbers = read_numbers(Path(text))
    if len(numbers[0]) != network.shape[0]:
        raise InputError(f"'{text}' has {len(numbers[0])} columns; this network takes {network.shape[0]}")
    names = [f"{text}:{line}" for line in range(2, len(numbers) + 2)]
    yield from _answers(network, names, torch.tensor(numbers), top)
