import math

import pytest
import torch

from pendio.data.text.tokenizers import train_tokenizer
from pendio.sequences.language.options import LanguageOptions
from pendio.sequences.language.recipe import language
from pendio.sequences.language.task import Language
from pendio.sequences.models.bodies import Architecture, build_body
from pendio.sequences.models.language_model import LanguageModel

from ..tagging.conftest import SHOUTS, write_table
from ..tagging.conftest import train as train_tagger
from ..translation.conftest import train as train_translator
from ..translation.conftest import write_pairs


def make_language(model, **options):
    """An untrained language model of the characters a to h and of the line end."""
    tokenizer = train_tokenizer("characters", ["abcdefgh\n"])
    architecture = Architecture(**{"model": model, "width": 8, "layers": 2, "heads": 2, "window": 3, **options})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = build_body(architecture, 8, 16)
        return Language(LanguageModel(tokenizer.size, body, 8, scale=math.sqrt(8)), tokenizer).eval()


@pytest.fixture(scope="session")
def language_run(tmp_path_factory):
    """A language model that has hardly been trained."""
    folder = tmp_path_factory.mktemp("language")
    (folder / "text.txt").write_text("abcd efgh\n" * 40, encoding="utf-8")
    options = {"model": "lstm", "width": 8, "layers": 1, "context": 16, "steps": 2, "batch": 4}
    return language(
        LanguageOptions.of({**options, "data": str(folder / "text.txt"), "out": str(folder / "run")}), False
    )


@pytest.fixture(scope="session")
def translator_run(tmp_path_factory):
    """A translator of words of the letters a to e that has hardly been trained."""
    folder = tmp_path_factory.mktemp("translator")
    return train_translator(write_pairs(folder / "pairs.tsv"), folder / "run", epochs=1, layers=2)


@pytest.fixture(scope="session")
def tagger_run(tmp_path_factory):
    """A Transformer that tags words by the mark behind them, and has hardly been trained."""
    folder = tmp_path_factory.mktemp("tagger")
    table = write_table(folder / "shouts.csv", SHOUTS)
    return train_tagger(folder / "run", data=str(table), model="transformer", heads=2, layers=2, epochs=1)
