import pytest
import torch

from pendio.classification.models import build
from pendio.classification.task import Classifier
from pendio.data.examples import Examples


@pytest.fixture
def make_classifier():
    """An untrained classifier of points into ``classes`` classes."""

    def make(classes=3, model="mlp", shape=(4,), **options):
        torch.manual_seed(0)
        names = [f"class {number}" for number in range(classes)]
        return Classifier(build(model, shape, [0.0] * shape[0], [1.0] * shape[0], names), **options)

    return make


@pytest.fixture
def make_batch():
    """Random inputs with random labels."""

    def make(count=32, classes=3, shape=(4,), seed=1):
        generator = torch.Generator().manual_seed(seed)
        targets = torch.randint(0, classes, (count,), generator=generator)
        return Examples(torch.randn(count, *shape, generator=generator), targets, torch.arange(count))

    return make
