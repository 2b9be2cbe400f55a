import random

import pytest

import pendio

ANIMALS, VERBS, COLORS = ("cat", "dog"), ("sees", "likes"), ("red", "blue")


@pytest.fixture(scope="session")
def sentences(tmp_path_factory):
    """A text whose next character is mostly certain: after an article, a verb or a color come one of two words."""
    chance = random.Random(0)
    lines = (
        f"the {chance.choice(ANIMALS)} {chance.choice(VERBS)} a {chance.choice(COLORS)} {chance.choice(ANIMALS)}."
        for _ in range(1200)
    )
    path = tmp_path_factory.mktemp("text") / "sentences.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def lstm_run(sentences, tmp_path_factory):
    """An LSTM that has learnt the sentences."""
    out = tmp_path_factory.mktemp("runs") / "lstm"
    return pendio.train("language", progress=False, data=str(sentences), model="lstm", width=48, layers=1, context=32,
                        epochs=6, lr=0.02, dropout=0.0, batch=16, out=str(out))  # fmt: skip


@pytest.fixture(scope="session")
def transformer_run(sentences, tmp_path_factory):
    """A Transformer that has learnt the sentences."""
    out = tmp_path_factory.mktemp("runs") / "transformer"
    return pendio.train("language", progress=False, data=str(sentences), model="transformer", width=32, layers=2, heads=2,
                        context=32, epochs=5, lr=0.005, dropout=0.0, batch=16, out=str(out))  # fmt: skip
