import math
import shutil
import time

import pytest
import torch
from torch import nn

from pendio.data.text.corpus import open_corpus
from pendio.data.text.windows import TokenWindows
from pendio.sequences.language.diagnosis import (
    Repetition,
    diagnose_language,
    loss_by_place,
    repeated,
    repetition,
    repetitive,
    unused_context,
)
from pendio.sequences.language.recipe import load_language, open_data, run_options
from pendio.sequences.language.task import Language
from pendio.sequences.language.text import Text, windows
from pendio.sequences.models.bodies import Architecture, build_body
from pendio.sequences.models.language_model import LanguageModel


def opened(run):
    """The task of a run, its text, and the same in windows."""
    task = load_language(run)
    corpus = open_data(run_options(run), known=task.tokenizer)
    return task, corpus, windows(corpus, run_options(run).context, task.carries)


def kinds(run, task, corpus, text):
    return [one.kind for one in diagnose_language(run, task, corpus, text)]


def test_nothing_is_wrong_with_what_has_learnt_its_text(lstm_run, transformer_run):
    for run in (lstm_run, transformer_run):
        start = time.monotonic()
        assert kinds(run, *opened(run)) == []
        assert time.monotonic() - start < 10


def test_the_task_stays_as_it_was(lstm_run):
    task, corpus, text = opened(lstm_run)
    task.train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    diagnose_language(lstm_run, task, corpus, text)
    assert task.training
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


def with_body(task, model, change, layers=1):
    """A task of another body, with weights that ``change`` has set."""
    width = task.model.embedding.embedding_dim
    body = build_body(Architecture(model=model, width=width, layers=layers), width, 32)
    made = Language(LanguageModel(task.model.vocabulary, body, width, scale=math.sqrt(width)), task.tokenizer)
    with torch.no_grad():
        change(body)
    return made.eval()


def test_a_recurrence_that_forgets_lets_the_gradient_vanish(lstm_run):
    task, corpus, text = opened(lstm_run)
    [found] = diagnose_language(
        lstm_run, with_body(task, "rnn", lambda one: one.network.weight_hh_l0.mul_(0.2)), corpus, text
    )
    assert found.kind == "vanishing-over-time"
    assert found.flag == "--model lstm"


def test_a_recurrence_that_grows_lets_it_explode(lstm_run):
    task, corpus, text = opened(lstm_run)

    def grow(body):
        # Small states, so that tanh is linear.
        network = body.network
        network.weight_hh_l0.copy_(1.4 * torch.linalg.qr(torch.randn(48, 48)).Q)
        network.weight_ih_l0.mul_(1e-7)
        nn.init.zeros_(network.bias_ih_l0)
        nn.init.zeros_(network.bias_hh_l0)

    assert kinds(lstm_run, with_body(task, "rnn", grow), corpus, text)[0] == "exploding-over-time"


def test_what_a_convolution_does_not_see_has_not_vanished(lstm_run):
    task, corpus, text = opened(lstm_run)
    short = with_body(task, "tcn", lambda one: None, layers=3)
    assert short.model.reader.reach == 29 < text.val.length
    assert "vanishing-over-time" not in kinds(lstm_run, short, corpus, text)


def test_states_at_the_ends_of_tanh_are_told(lstm_run):
    task, corpus, text = opened(lstm_run)

    def copying(body):
        for name, weight in body.network.named_parameters():
            weight.copy_(torch.eye(48) if name == "weight_ih_l0" else torch.zeros_like(weight))

    made = with_body(task, "rnn", copying)
    for reached, told in ((2.5, False), (2.8, True)):
        # The states are what an embedding comes to by its scale, and tanh 2.65 is 0.99.
        nn.init.constant_(made.model.embedding.weight, reached / math.sqrt(48))
        assert ("saturated-states" in kinds(lstm_run, made, corpus, text)) == told


def test_what_stood_before_is_counted_row_by_row():
    assert repeated(torch.tensor([[1, 2, 1, 2, 1], [1, 2, 3, 4, 5]]), 2) == pytest.approx(0.25)
    assert repeated(torch.zeros(3, 20).long()) == pytest.approx(12 / 13)
    assert repeated(torch.arange(60).view(3, 20)) == 0


def test_a_model_that_says_one_thing_repeats_itself(transformer_run):
    task, corpus, text = opened(transformer_run)
    healthy = repetition(task, text, 64)
    assert abs(healthy.drawn - healthy.usual) < 0.15
    with torch.no_grad():
        # One token is certain, whatever stood before.
        task.model.body.norm.weight.zero_()
        task.model.body.norm.bias.copy_(9 * task.model.embedding.weight[5])
        task.model.embedding.weight[5] *= 9
    stuck = repetition(task, text, 64)
    assert stuck.drawn == stuck.greedy == pytest.approx(56 / 57)
    found = [one for one in diagnose_language(transformer_run, task, corpus, text) if one.kind == "repetition"]
    assert found
    assert "98% of the 8-grams of drawn text" in repetitive(stuck).evidence


def test_only_what_is_drawn_counts_and_only_beyond_what_is_usual():
    assert repetitive(Repetition(0.1, 0.1, 0.99)) is None
    assert repetitive(Repetition(0.8, 0.9, 0.9)) is None
    assert repetitive(Repetition(0.1, 0.3, 0.3)).kind == "repetition"


def falling(late):
    losses = torch.full((20, 64), 2.0)
    losses[:, 32:] = late
    losses[:, :4] = 4.0
    return losses


def test_a_context_that_helps_nothing_is_told():
    found = unused_context(falling(2.0))
    assert found.kind == "context-unused"
    assert found.evidence == "2 nats a token in the last quarter of 64 tokens, 2 at tokens 4 to 7"
    assert found.flag == "--epochs 16 --context 16"
    assert unused_context(falling(1.9)) is None
    assert unused_context(falling(2.0)[:15]) is None
    assert unused_context(falling(2.0)[:, :31]) is None


def test_a_transformer_that_looks_at_itself_alone_makes_nothing_of_its_context(transformer_run):
    task, corpus, text = opened(transformer_run)
    losses = loss_by_place(task, text)
    assert losses.shape[1] == 32
    assert unused_context(losses) is None
    with torch.no_grad():
        for layer in task.model.body.layers:
            layer.attention.join.weight.zero_()
            layer.attention.join.bias.zero_()
    assert "context-unused" in kinds(transformer_run, task, corpus, text)


def test_losses_by_place_are_those_of_the_text(transformer_run):
    task, _, text = opened(transformer_run)
    losses = loss_by_place(task, text)
    tokens = text.val.tokens[:33].long()
    logits = task.predict(tokens[None, :-1])[0]
    assert torch.allclose(losses[0], nn.functional.cross_entropy(logits, tokens[1:], reduction="none"), atol=1e-5)


def test_vocabularies_that_do_not_fit_the_text_are_told(tmp_path, lstm_run):
    task, _, text = opened(lstm_run)
    words = [f"w{number}" for number in range(900)] + ["the"] * 300
    (tmp_path / "text.txt").write_text(
        " ".join(words + ["new" + str(number) for number in range(100)]), encoding="utf-8"
    )
    corpus = open_corpus(tmp_path / "text.txt", tokenizer="words")
    found = {one.kind: one for one in diagnose_language(lstm_run, task, corpus, text)}
    assert "less than 5 times" in found["unused-vocabulary"].evidence
    assert "unknown-tokens" in found


def test_overfitting_is_read_from_the_curves(tmp_path, lstm_run):
    copy = tmp_path / "run"
    shutil.copytree(lstm_run.folder, copy)
    lines = [
        f'{{"step": {n}, "epoch": {n}, "loss": {3 - n / 2}, "val_loss": {2 + abs(n - 2) / 4}, "lr": 0.001, "best": false}}\n'
        for n in range(1, 6)
    ]
    (copy / "metrics.jsonl").write_text("".join(lines))
    run = type(lstm_run).open(copy)
    assert kinds(run, *opened(run)) == ["overfitting"]


def test_texts_shorter_than_what_is_looked_at_do(lstm_run):
    task, corpus, _ = opened(lstm_run)
    tokens = torch.from_numpy(corpus.train.tokens[:50].astype("int64"))
    short = Text(TokenWindows(tokens, 16, carried=True), TokenWindows(tokens[:12], 11, carried=True))
    assert kinds(lstm_run, task, corpus, short) == []
