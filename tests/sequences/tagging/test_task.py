import math

import pytest
import torch
from torch.nn.functional import log_softmax

from pendio.data.examples import Examples
from pendio.data.text.labelled import open_labelled
from pendio.sequences.tagging.evaluation import evaluate_tagger
from pendio.sequences.tagging.task import Tag

from .conftest import make_tagger

TOKENS = torch.tensor([[3, 4, 0], [5, 6, 7], [8, 0, 0], [9, 10, 11]])
TARGETS = torch.tensor([0, 2, 1, 2])


def batch(inputs=TOKENS, targets=TARGETS):
    return Examples(inputs, targets, torch.arange(len(inputs)))


def test_the_loss_is_cross_entropy_by_hand():
    task = Tag(make_tagger("lstm"), "class", "abc")
    total, weight = task.loss(batch())
    rows = log_softmax(task.tagger(TOKENS), 1)
    assert float(total) == pytest.approx(-sum(float(rows[row, target]) for row, target in enumerate(TARGETS)))
    assert weight == 4


def test_class_weights_and_smoothing_by_hand():
    weights = [0.5, 2.0, 1.25]
    task = Tag(make_tagger("lstm"), "class", "abc", class_weights=weights, label_smoothing=0.3)
    total, weight = task.double().loss(batch())
    rows = log_softmax(task.tagger(TOKENS), 1)
    expected = 0.0
    for row, target in enumerate(TARGETS.tolist()):
        # Weights go with the classes that the smoothed label is spread over.
        for kind in range(3):
            share = 0.7 * (kind == target) + 0.3 / 3
            expected -= share * weights[kind] * float(rows[row, kind])
    assert float(total) == pytest.approx(expected)
    assert float(weight) == 0.5 + 1.25 + 2.0 + 1.25


def test_parts_of_a_batch_add_up_to_the_whole():
    task = Tag(make_tagger("tcn"), "class", "abc", class_weights=[0.5, 2.0, 1.25])
    whole = task.double().loss(batch())
    parts = [task.loss(batch(TOKENS[rows], TARGETS[rows])) for rows in (slice(0, 1), slice(1, 4))]
    assert float(sum(part.total for part in parts)) == pytest.approx(float(whole.total))
    assert float(sum(part.weight for part in parts)) == pytest.approx(float(whole.weight))


def test_the_loss_of_numbers_is_the_squared_error():
    task = Tag(make_tagger("rnn", features=2, outputs=1), "number")
    values, targets = torch.rand(5, 7, 2, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    total, weight = task.loss(batch(values, targets))
    assert float(total) == pytest.approx(float(((task.tagger(values)[:, 0] - targets) ** 2).sum()))
    assert weight == 5


def test_the_loss_of_steps_counts_each_of_them():
    task = Tag(make_tagger("rnn", asked=2), "tokens", "abc")
    targets = torch.tensor([[0, 1], [2, 2], [1, 0], [0, 0]])
    total, weight = task.loss(batch(TOKENS.clamp(min=4), targets))
    rows = log_softmax(task.tagger(TOKENS.clamp(min=4)), 2)
    expected = -sum(float(rows[row, step, targets[row, step]]) for row in range(4) for step in range(2))
    assert (float(total), weight) == (pytest.approx(expected), 8)


def test_metrics_of_classes_by_hand():
    task = Tag(make_tagger("lstm"), "class", "abc")
    answers = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    for rows in (slice(0, 3), slice(3, 4)):
        task.measure_answers(answers[rows], torch.tensor([0, 2, 1, 2])[rows])
    metrics = task.metrics()
    assert metrics == pytest.approx({
        "accuracy": 3 / 4,
        "loss": -(math.log(0.7) + math.log(0.1) + math.log(0.6) + math.log(0.6)) / 4,
        "balanced_accuracy": (1 + 1 + 1 / 2) / 3,
        "f1": (1 + 2 / 3 + 2 / 3) / 3,
    })  # fmt: skip
    assert task.last_confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    task.measure_answers(answers[:1], torch.tensor([0]))
    assert task.metrics()["accuracy"] == 1, "metrics start anew"


def test_a_class_without_examples_has_no_say_in_the_means():
    task = Tag(make_tagger("lstm"), "class", "abc")
    task.measure_answers(torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), torch.tensor([0, 1]))
    metrics = task.metrics()
    assert (metrics["balanced_accuracy"], metrics["f1"]) == (1, 1)


def test_metrics_of_steps_tell_answers_from_sequences():
    task = Tag(make_tagger("lstm", asked=2), "tokens", "ab")
    answers = torch.tensor([[[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.6, 0.4]]])
    task.measure_answers(answers, torch.tensor([[0, 1], [0, 1]]))
    metrics = task.metrics()
    assert (metrics["accuracy"], metrics["exact"]) == (0.75, 0.5)
    assert metrics["loss"] == pytest.approx(-(2 * math.log(0.9) + math.log(0.8) + math.log(0.4)) / 4)


def test_who_always_answers_one_to_adding_has_a_sixth():
    data = open_labelled("adding", length=20)
    task = Tag(make_tagger("rnn", features=2, outputs=1), "number")
    torch.nn.init.zeros_(task.tagger.head.weight)
    torch.nn.init.ones_(task.tagger.head.bias)
    task.float()
    metrics = evaluate_tagger(task, data, [data.split("test")]).metrics
    assert metrics["mse"] == pytest.approx(1 / 6, abs=0.01)
    assert metrics["r2"] == pytest.approx(0, abs=0.01)


def test_the_better_evaluation_has_the_higher_score():
    classes, numbers = Tag(make_tagger("rnn"), "class", "abc"), Tag(make_tagger("rnn", outputs=1), "number")
    assert classes.score({"accuracy": 0.9, "loss": 2.0}) > classes.score({"accuracy": 0.8, "loss": 1.0})
    assert classes.score({"accuracy": 0.9, "loss": 1.0}) > classes.score({"accuracy": 0.9, "loss": 2.0})
    assert numbers.score({"loss": 0.1}) > numbers.score({"loss": 0.2})


def test_predictions_are_probabilities_without_dropout():
    task = Tag(make_tagger("lstm"), "class", "abc")
    task.tagger.dropout.p = 0.9
    task.train()
    answers = task.predict(TOKENS)
    assert torch.allclose(answers.sum(1), torch.ones(4))
    assert torch.equal(answers, task.predict(TOKENS))
