import numpy as np
import pytest
import sklearn.metrics
import torch


def reference_loss(logits, probabilities, weights):
    """Σᵢ Σₖ wₖ pₖ (−log qₖ) and what it is divided by, in float64 by hand."""
    logits, probabilities = logits.detach().double(), probabilities.double()
    logs = logits - logits.exp().sum(1, keepdim=True).log()
    return float(-(weights * probabilities * logs).sum())


def one_hot(targets, classes=3):
    return torch.eye(classes, dtype=torch.float64)[targets]


def test_the_loss_is_the_cross_entropy(make_classifier, make_batch):
    task, batch = make_classifier(), make_batch()
    total, weight = task.loss(batch)
    ones = torch.ones(3, dtype=torch.float64)
    assert total.item() == pytest.approx(reference_loss(task.network(batch.inputs), one_hot(batch.targets), ones), 1e-5)
    assert weight == 32


def test_label_smoothing_spreads_its_share_over_all_classes(make_classifier, make_batch):
    task, batch = make_classifier(label_smoothing=0.3), make_batch()
    smooth = 0.7 * one_hot(batch.targets) + 0.1
    ones = torch.ones(3, dtype=torch.float64)
    assert task.loss(batch).total.item() == pytest.approx(
        reference_loss(task.network(batch.inputs), smooth, ones), 1e-5
    )


@pytest.mark.parametrize("mixed", [False, True])
def test_class_weights_weigh_examples_and_the_divisor(make_classifier, make_batch, mixed):
    weights = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    task, batch = make_classifier(class_weights=weights.tolist()), make_batch()
    probabilities = one_hot(batch.targets)
    if mixed:
        probabilities = 0.6 * probabilities + 0.4 * probabilities.roll(1, 0)
        batch = batch._replace(targets=probabilities.float())
    total, divisor = task.loss(batch)
    assert total.item() == pytest.approx(reference_loss(task.network(batch.inputs), probabilities, weights), 1e-5)
    assert float(divisor) == pytest.approx(float((probabilities * weights).sum()), 1e-5)


def test_metrics_are_those_of_scikit_learn(make_classifier, make_batch):
    task, batches = make_classifier(7), [make_batch(50, 7, seed=seed) for seed in range(3)]
    task.eval()
    for batch in batches:
        task.measure(batch)
    metrics = task.metrics()
    true = torch.cat([batch.targets for batch in batches]).numpy()
    with torch.no_grad():
        probabilities = torch.cat([task.predict(batch.inputs) for batch in batches]).numpy()
    guess, labels = probabilities.argmax(1), list(range(7))
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        true, guess, average="macro", labels=labels, zero_division=0
    )
    assert metrics["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(true, guess))
    assert metrics["top5"] == pytest.approx(sklearn.metrics.top_k_accuracy_score(true, probabilities, k=5))
    assert metrics["loss"] == pytest.approx(sklearn.metrics.log_loss(true, probabilities, labels=labels), 1e-5)
    assert (metrics["precision"], metrics["recall"], metrics["f1"]) == pytest.approx((precision, recall, f1), 1e-6)
    assert (task.last_confusion.numpy() == sklearn.metrics.confusion_matrix(true, guess, labels=labels)).all()


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy(make_classifier):
    task = make_classifier(2)
    # Three bins of 15 are used: 0.61 (right 3 of 4), 0.75 (right 1 of 2), 0.99 (right 4 of 4).
    confidence = torch.tensor([0.61] * 4 + [0.75] * 2 + [0.99] * 4)
    right = torch.tensor([1, 1, 1, 0, 1, 0, 1, 1, 1, 1])
    task.measure_probabilities(torch.stack([confidence, 1 - confidence], 1), 1 - right)
    expected = (4 * abs(0.75 - 0.61) + 2 * abs(0.5 - 0.75) + 4 * abs(1 - 0.99)) / 10
    assert task.metrics()["calibration_error"] == pytest.approx(expected, 1e-4)


def test_metrics_begin_anew_each_time(make_classifier, make_batch):
    task, batch = make_classifier(), make_batch()
    task.measure(batch)
    first = task.metrics()
    task.measure(make_batch(seed=2))
    task.metrics()
    task.measure(batch)
    assert task.metrics() == first


def test_accuracy_decides_and_the_loss_among_equals(make_classifier):
    score = make_classifier().score
    assert score({"accuracy": 0.9, "loss": 1.0}) > score({"accuracy": 0.8, "loss": 0.1})
    assert score({"accuracy": 0.9, "loss": 0.1}) > score({"accuracy": 0.9, "loss": 0.2})


def test_what_is_frozen_does_not_move_and_its_statistics_do_not_drift(make_classifier, make_batch):
    task = make_classifier(3, "cnn", (1, 8, 8), tuned_stages=0)
    before = {name: value.clone() for name, value in task.body.state_dict().items()}
    (player,) = task.players()
    assert list(player.modules) == [task.head]
    task.train()
    batch = make_batch(shape=(1, 8, 8))
    total, _ = task.loss(batch)
    total.backward()
    assert task.head.weight.grad.abs().sum() > 0
    for name, value in task.body.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_last_stages_alone_are_tuned(make_classifier):
    task = make_classifier(3, "resnet", (3, 32, 32), tuned_stages=1)
    learning = {name for name, parameter in task.body.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(name.startswith("stages.2") for name in learning)
    task.train()
    still = [module for module in task.body.stages[0].modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not any(module.training for module in still)
    assert all(m.training for m in task.body.stages[2].modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_the_body_has_its_own_learning_rate(make_classifier):
    (player,) = make_classifier(body_lr=0.1).players()
    assert list(player.lr_factors) == [0.1, 1.0]


def test_predictions_are_probabilities_and_leave_training_mode_behind(make_classifier, make_batch):
    task, batch = make_classifier(3, "cnn", (1, 8, 8)), make_batch(5, shape=(1, 8, 8))
    task.train()
    probabilities = task.predict(batch.inputs)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)
    alone = task.predict(batch.inputs[:1])
    torch.testing.assert_close(probabilities[:1], alone, msg="batch statistics must not be used")
