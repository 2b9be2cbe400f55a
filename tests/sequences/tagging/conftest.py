import csv

import pytest
import torch

from pendio.sequences.models.bodies import Architecture
from pendio.sequences.tagging.network import Reader, Tagger
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.tagging.recipe import tag

TINY = {"width": 8, "layers": 2, "heads": 2, "kernel": 3, "window": 4}


def make_tagger(model, outputs=3, asked=None, seed=0, **form):
    """An untrained tagger of 12 tokens, or with ``features`` of numbers, in float64."""
    form = {"tokens": 12, "length": 20, **form}
    if "features" in form:
        form["tokens"] = None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        reader = Reader(Architecture(model=model, **TINY), **form)
        tagger = Tagger(reader, outputs, reader.pooling, asked)
        # Biases too must differ from 0 for a test to notice where they are used.
        for weight in tagger.head.parameters():
            torch.nn.init.normal_(weight)
    return tagger.double().eval().requires_grad_(False)


SHOUTS = [(f"{word}{mark}", label) for word in ("aha", "bee", "cab", "dada", "ebb", "face", "hide", "jab", "lid", "mad",
          "nab", "oak", "pea", "quip", "rib", "sob", "tab", "urn", "vat", "wad") for mark, label in
          (("!", "shout"), ("!!", "shout"), (".", "calm"), ("", "calm"), ("?", "ask"))]  # fmt: skip
"""Words and marks; the mark tells the label."""


def write_table(path, rows, header=("text", "label")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def train(out, **options):
    """A training that takes a second."""
    quick = {
        "model": "lstm",
        "width": 16,
        "layers": 1,
        "epochs": 12,
        "batch": 16,
        "lr": 0.02,
        "dropout": 0.0,
        "warmup": 0,
    }
    return tag(TagOptions.of({**quick, **options, "out": str(out)}), progress=False)


@pytest.fixture(scope="session")
def shouts(tmp_path_factory):
    """The table of SHOUTS."""
    return write_table(tmp_path_factory.mktemp("shouts") / "shouts.csv", SHOUTS)


@pytest.fixture(scope="session")
def shout_run(shouts):
    """A tagger of SHOUTS."""
    return train(shouts.parent / "run", data=str(shouts))
