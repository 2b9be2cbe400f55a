"""Annotated images in memory, and detectors of which is known what they find."""

import torch
from torch import nn

from pendio.data.annotations.boxes import BoxExamples
from pendio.data.annotations.letterbox import Letterbox
from pendio.data.examples import Data
from pendio.detection.detections import Detections

SIZE = 64
CLASSES = ("cup", "spoon")


class Names:
    """Where the images of a split come from."""

    def __init__(self, names):
        self.names = names

    def name(self, number):
        return self.names[number]


class Shown:
    """A split: each image is of one shade, its number; objects are boxes and labels in pixels of the input."""

    def __init__(self, objects, sizes=None, crowd=(), names=None, shade=0):
        self.objects, self.crowd, self.shade = objects, crowd, shade
        self.sizes = sizes or [(SIZE, SIZE)] * len(objects)
        self.source = Names(names or [f"folder/image-{number}.png" for number in range(len(objects))])
        self.reader = self
        self.failures = ()

    def __len__(self):
        return len(self.objects)

    def take(self, indices):
        most = max([1, *(len(self.objects[index]) for index in indices.tolist())])
        rows = len(indices)
        batch = BoxExamples(
            (indices + self.shade).to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, SIZE, SIZE), torch.zeros(rows, most, 4),
            torch.full((rows, most), -1), torch.zeros(rows, most, dtype=torch.bool), torch.zeros(rows, most),
            torch.tensor([self.sizes[index] for index in indices.tolist()]).view(-1, 2), indices,
        )  # fmt: skip
        for row, index in enumerate(indices.tolist()):
            height, width = self.sizes[index]
            fit = Letterbox(height, width, SIZE)
            for column, (box, label) in enumerate(self.objects[index]):
                batch.boxes[row, column] = torch.tensor(box)
                batch.labels[row, column] = label
                batch.crowd[row, column] = (index, column) in self.crowd
                batch.areas[row, column] = (box[2] - box[0]) * (box[3] - box[1]) / fit.scale_x / fit.scale_y
        return batch

    def batches(self, size, **_):
        for part in torch.arange(len(self)).split(size):
            yield self.take(part)


class Seer(nn.Module):
    """Finds in an image of shade n what ``answers[n]`` says: (box, score, label), and elsewhere nothing."""

    size = SIZE
    classes = CLASSES

    def __init__(self, answers, scales=()):
        super().__init__()
        self.answers = answers
        self.scales = scales

    def predict(self, inputs):
        assert inputs.dtype == torch.uint8
        assert inputs.shape[1:] == (3, SIZE, SIZE)
        return [self._of(int(image[0, SIZE // 2, SIZE // 2])) for image in inputs]

    def _of(self, shade):
        found = sorted(self.answers.get(shade, ()), key=lambda answer: -answer[1])
        return Detections(
            torch.tensor([box for box, _, _ in found]).reshape(-1, 4),
            torch.tensor([score for _, score, _ in found]),
            torch.tensor([label for _, _, label in found], dtype=torch.long),
        )


def data(train, val, test=None, findings=(), counts=()):
    return Data("mine", train, val, test, CLASSES, (3, SIZE, SIZE), (0.5,) * 3, (0.25,) * 3, findings, "boxes", counts)
