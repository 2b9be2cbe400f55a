"""Small untrained models of all families whose next tokens are far from sure."""

import pytest
import torch

from pendio.sequences.architecture import Architecture
from pendio.sequences.models.bodies import build_body
from pendio.sequences.models.language_model import LanguageModel

FAMILIES = ("window", "rnn", "lstm", "tcn", "transformer")


def build(family, vocabulary=11, context=64, **options):
    torch.manual_seed(7)
    architecture = Architecture(model=family, width=16, heads=2, window=4, **options)
    width = 16 if family == "transformer" else 12
    model = LanguageModel(vocabulary, build_body(architecture, width, context), width, scale=4.0).eval()
    if model.head is not None:
        _widen(model)
    return model


@torch.no_grad()
def _widen(model):
    """Make logits vary with the text, by turning the head away from what features have in common."""
    features = model.features(torch.randint(0, model.vocabulary, (8, 16)))[0].flatten(0, 1)
    mean, weight = features.mean(0), torch.randn_like(model.head.weight)
    weight -= (weight @ mean)[:, None] * mean / mean.dot(mean)
    model.head.weight.copy_(weight * 2 / (features @ weight.T).std())


@pytest.fixture(params=FAMILIES)
def model(request):
    """One of each family."""
    return build(request.param)
