import itertools

import pytest
import torch

from pendio.data.text.pairs import Pairs
from pendio.data.text.tokenizers import train_tokenizer
from pendio.nn.transformer import Form
from pendio.sequences.translation.network import Translator
from pendio.sequences.translation.options import TranslateOptions
from pendio.sequences.translation.recipe import translate
from pendio.sequences.translation.task import Translate

SMALL = {"width": 16, "layers": 1, "heads": 2, "length": 12, "epochs": 2, "batch": 16}
"""Options of a training that takes a second."""


def make_network(positions="sinusoidal", norm="pre", layers=2, source=9, target=8):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        form = Form(width=16, heads=2, layers=layers, length=12, positions=positions, norm=norm)
        return Translator(source, target, form).eval()


def make_task(**options):
    source, target = (train_tokenizer("characters", [text], marks=True) for text in ("abcde", "ABCD"))
    return Translate(make_network(source=source.size, target=target.size), source, target, **options)


def random_pairs(rows=5, longest=7, source=9, target=8, seed=0):
    """Pairs of random tokens, no two of the same length where there is room for it."""
    chance = torch.Generator().manual_seed(seed)
    inputs, targets = torch.zeros(rows, longest).long(), torch.zeros(rows, longest + 2).long()
    for row in range(rows):
        length = 1 + row % longest
        inputs[row, :length] = torch.randint(4, source, (length,), generator=chance)
        length = longest - row % longest
        written = torch.randint(4, target, (length,), generator=chance)
        targets[row, : length + 2] = torch.cat([torch.tensor([1]), written, torch.tensor([2])])
    return Pairs(inputs, targets, torch.arange(rows))


def write_pairs(path, extra=()):
    """A file of the 155 words of one to three of the letters a to e, and the same in capitals."""
    words = ["".join(letters) for count in (1, 2, 3) for letters in itertools.product("abcde", repeat=count)]
    lines = [f"{word}\t{word.upper()}" for word in words]
    path.write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")
    return path


def train(file, out, **options):
    return translate(TranslateOptions.of({"data": str(file), "out": str(out), **SMALL, **options}), progress=False)


@pytest.fixture(scope="session")
def capitals_run(tmp_path_factory):
    """A translator that has learnt to write words of up to three letters in capitals."""
    folder = tmp_path_factory.mktemp("session")
    return train(write_pairs(folder / "pairs.tsv"), folder / "capitals", epochs=15, lr=1e-2, batch=8)
