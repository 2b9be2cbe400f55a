import random
import time

import pytest
import torch
from torch import nn

from pendio.data.text.labelled import open_labelled
from pendio.sequences.tagging.diagnosis import diagnose_tagger, no_better_than_the_mean, out_of_sight
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.tagging.recipe import load_tagger, new_task, run_data, run_facts

from .conftest import train, write_table


def kinds(run, task, data):
    return [one.kind for one in diagnose_tagger(run, task, data)]


@pytest.fixture(scope="module")
def adding_run(tmp_path_factory):
    """An LSTM that has taken one step towards adding."""
    return train(tmp_path_factory.mktemp("adding") / "run", data="adding", length=40, steps=1, batch=256)


def test_nothing_is_wrong_with_what_has_learnt_its_marks(shout_run):
    start = time.monotonic()
    assert kinds(shout_run, load_tagger(shout_run), run_data(shout_run)) == []
    assert time.monotonic() - start < 10


def test_the_task_stays_as_it_was(shout_run):
    task, data = load_tagger(shout_run).train(), run_data(shout_run)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    diagnose_tagger(shout_run, task, data)
    assert task.training
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())


def test_one_class_only_is_told_and_explains_the_rest(shout_run):
    task = load_tagger(shout_run)
    with torch.no_grad():
        task.tagger.head.bias[1] = 1e3
    [found] = diagnose_tagger(shout_run, task, run_data(shout_run))
    assert found.kind == "one-class"
    assert found.flag == "--class-weights balanced"


def test_what_is_learnt_by_heart_overfits(tmp_path):
    chance = random.Random(0)
    rows = [("".join(chance.choices("abcdefgh", k=8)), chance.choice(("one", "two"))) for _ in range(60)]
    run = train(tmp_path / "run", data=str(write_table(tmp_path / "table.csv", rows)), epochs=40, width=32)
    found = {one.kind: one for one in diagnose_tagger(run, load_tagger(run), run_data(run))}
    assert "the validation loss rose from" in found["overfitting"].evidence
    assert "--augment" not in found["overfitting"].flag


def test_texts_that_are_in_two_splits_are_told(tmp_path, shout_run):
    rows = [(f"{word}{mark}", label, "train") for word in ("wad", "pea", "kid", "sob", "tab", "jab")
            for mark, label in (("!", "shout"), (".", "calm"), ("?", "ask"))]  # fmt: skip
    rows += [("wad!", "shout", "val"), ("pea.", "calm", "val"), ("oak?", "ask", "val")]
    table = write_table(tmp_path / "table.csv", rows, ("text", "label", "split"))
    data = open_labelled(table, known=run_data(shout_run).tokenizer)
    found = {one.kind: one for one in diagnose_tagger(shout_run, load_tagger(shout_run), data)}
    assert found["leak"].evidence.startswith("66.7% of the held-out examples")


def test_a_recurrence_that_forgets_lets_the_gradient_vanish(adding_run):
    task = new_task(TagOptions.of({"model": "rnn", "width": 16}), run_facts(adding_run))
    data = run_data(adding_run)
    with torch.no_grad():
        task.tagger.encoder.body.network.weight_hh_l0.mul_(0.2)
    found = diagnose_tagger(adding_run, task, data)
    assert found[0].kind == "vanishing-over-time"
    assert found[0].flag == "--model lstm"
    assert "39 steps back" in found[0].evidence
    nn.init.orthogonal_(task.tagger.encoder.body.network.weight_hh_l0)
    assert "vanishing-over-time" not in kinds(adding_run, task, data)


def test_the_longest_texts_are_looked_at_and_their_padding_is_not(tmp_path, shout_run):
    rows = [(f"{'a' * n}{mark}", label, "train") for n in range(1, 12)
            for mark, label in (("!", "shout"), (".", "calm"), ("?", "ask"))]  # fmt: skip
    rows += [(f"{'b' * n}!", "shout", "val") for n in [*range(1, 20), 60, 70]]
    table = write_table(tmp_path / "table.csv", rows, ("text", "label", "split"))
    data = open_labelled(table, known=run_data(shout_run).tokenizer)
    task = new_task(TagOptions.of({"model": "rnn", "width": 16}), run_facts(shout_run))
    with torch.no_grad():
        task.tagger.encoder.body.network.weight_hh_l0.mul_(0.2)
        # An embedding of the padding that would saturate every state.
        task.tagger.encoder.first.weight[0] = 1e3
    found = {one.kind: one for one in diagnose_tagger(shout_run, task, data)}
    assert "70 steps back" in found["vanishing-over-time"].evidence
    assert "saturated-states" not in found


def test_states_at_the_ends_of_tanh_are_told(adding_run):
    task = new_task(TagOptions.of({"model": "rnn", "width": 16}), run_facts(adding_run))
    with torch.no_grad():
        task.tagger.encoder.body.network.bias_ih_l0.fill_(9.0)
    assert "saturated-states" in kinds(adding_run, task, run_data(adding_run))


def test_a_network_that_does_not_see_the_beginning_is_told(adding_run):
    facts, data = run_facts(adding_run), run_data(adding_run)
    for options, reach in (({"model": "tcn", "layers": 2}, 13), ({"model": "window"}, 8)):
        task = new_task(TagOptions.of({**options, "width": 8}), facts)
        [found] = [one for one in diagnose_tagger(adding_run, task, data) if one.kind == "out-of-sight"]
        assert found.evidence == f"it sees the last {reach} of up to 40 steps"
    # What it does not see has not vanished.
    task = new_task(TagOptions.of({"model": "tcn", "layers": 3, "width": 8}), facts)
    found = kinds(adding_run, task, data)
    assert "out-of-sight" in found
    assert "vanishing-over-time" not in found
    for model in ("lstm", "transformer"):
        assert "out-of-sight" not in kinds(
            adding_run, new_task(TagOptions.of({"model": model, "width": 8}), facts), data
        )
    assert out_of_sight(40, 40) is None
    assert out_of_sight(None, 40) is None
    assert out_of_sight(39, 40).kind == "out-of-sight"


def test_a_convolution_that_sees_all_has_no_vanishing_gradient(adding_run):
    task = new_task(TagOptions.of({"model": "tcn", "layers": 4, "width": 8}), run_facts(adding_run))
    assert not {"vanishing-over-time", "out-of-sight"} & set(kinds(adding_run, task, run_data(adding_run)))


def test_answers_no_better_than_the_mean_are_told(adding_run):
    data = run_data(adding_run)
    assert "no-better-than-the-mean" in kinds(adding_run, load_tagger(adding_run), data)
    targets = torch.tensor([0.5, 1.0, 1.5])
    assert no_better_than_the_mean(torch.ones(3), targets).evidence == (
        "mean squared error 0.167, variance of what is right 0.167"
    )
    assert no_better_than_the_mean(targets + 0.05, targets) is None


def test_several_answers_a_sequence_are_looked_at_too(tmp_path):
    run = train(tmp_path / "run", data="copying", length=10, steps=1, batch=256)
    assert set(kinds(run, load_tagger(run), run_data(run))) <= {"underfitting", "one-class", "labels"}


def test_the_vocabulary_of_a_text_is_looked_at(tmp_path, shout_run):
    rows = [(f"word{n} mark{n % 2}", "ab"[n % 2]) for n in range(40)]
    run = train(tmp_path / "run", data=str(write_table(tmp_path / "table.csv", rows)), tokenizer="words", epochs=1)
    assert {"unused-vocabulary", "unknown-tokens"} <= set(kinds(run, load_tagger(run), run_data(run)))
