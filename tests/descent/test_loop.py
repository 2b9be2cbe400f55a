import os
import signal

import pytest
import torch

import pendio
from pendio.descent.interruption import Interrupted
from pendio.descent.loop import evaluate, fit
from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.runs.run import Run

from .conftest import Pair, Resident, make_network, make_regression


def weights_of(run, which="last"):
    return run.weights(which)


def assert_identical(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_linear_regression_finds_the_least_squares_solution(tmp_path):
    """Full-batch descent on a quadratic ends where the normal equations say."""
    data = make_regression(examples=200)
    task = make_network()
    task.network = torch.nn.Linear(5, 1)
    plan = Plan(epochs=300, batch="all", optimizer="momentum", lr=0.1, weight_decay=0, schedule="constant")
    fit(task, data, plan, tmp_path / "run", progress=False)
    inputs = torch.cat([data.train.inputs, torch.ones(200, 1)], 1)
    solution = torch.linalg.lstsq(inputs, data.train.targets).solution[:, 0]
    last = torch.cat([weights_of(Run.open(tmp_path / "run"))[n].flatten() for n in ("network.weight", "network.bias")])
    torch.testing.assert_close(last, solution, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("batch", "steps"), [("all", 1), (10, 5), (1, 48), (47, 1), (24, 2)])
def test_an_epoch_takes_the_steps_its_batch_asks_for(tmp_path, data, batch, steps):
    """Full batch, mini-batch and online; a last batch of one joins the one before."""
    run = fit(make_network(), data, Plan(epochs=2, batch=batch), tmp_path / "run", progress=False)
    assert [record["step"] for record in run.history()] == [steps, 2 * steps]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path, data):
    def train(name, seed):
        plan = Plan(epochs=3, batch=8, seed=seed)
        return weights_of(fit(make_network(dropout=0.2), data, plan, tmp_path / name, progress=False))

    assert_identical(train("a", 1), train("b", 1))
    assert any(not torch.equal(a, b) for a, b in zip(train("c", 1).values(), train("d", 2).values(), strict=True))


def test_the_callers_random_numbers_are_left_alone(tmp_path, data):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(make_network_without_seeding(), data, Plan(epochs=1), tmp_path / "run", progress=False)
    assert torch.equal(torch.rand(3), expected)


def make_network_without_seeding():
    state = torch.get_rng_state()
    task = make_network()
    torch.set_rng_state(state)
    return task


OPTIONS = [
    {"optimizer": "adamw", "schedule": "cosine", "warmup": 1},
    {"optimizer": "nesterov", "schedule": "onecycle", "average": "ema", "lr": 0.01},
    {"optimizer": "rmsprop", "schedule": "step", "step_every": 2, "average": "swa", "lr": 1e-3},
    {"optimizer": "adam", "schedule": "constant", "accumulate": 3, "clip": 0.5, "l1": 1e-4, "precision": "bf16"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options["optimizer"])
@pytest.mark.parametrize("stop_at", [15, 17, 30], ids=["between epochs", "within an epoch", "never"])
def test_resuming_gives_to_the_bit_what_an_unbroken_run_gives(tmp_path, monkeypatch, options, stop_at):
    """10 epochs of 3 steps, against the same stopped after 15 (5 epochs) or 17 steps and resumed."""
    plan = Plan(epochs=10, batch=16, seed=3, **options)
    data = make_regression()
    whole = fit(make_network(dropout=0.3, norm=True), data, plan, tmp_path / "whole", progress=False)
    broken = Interrupting(make_network(dropout=0.3, norm=True), stop_at)
    if stop_at < 30:
        with pytest.raises(Interrupted):
            fit(broken, data, plan, tmp_path / "broken", progress=False)
    resumed = fit(
        make_network(seed=9, dropout=0.3, norm=True), data, plan, tmp_path / "broken", resume=True, progress=False
    )
    if stop_at < 30:
        assert_identical(weights_of(whole), weights_of(resumed))
        assert_identical(weights_of(whole, "best"), weights_of(resumed, "best"))
        keep = ("epoch", "step", "lr", "loss", "val_mse", "best")
        assert [[r[k] for k in keep] for r in whole.history()] == [[r[k] for k in keep] for r in resumed.history()]


class Interrupting:
    """A task that asks its own process to stop, as Ctrl-C does, while it takes a certain step."""

    def __new__(cls, task, at_step):
        original, count = task.loss, 0

        def loss(batch):
            nonlocal count
            # Accumulation calls several times a step: count only whole steps, by the rows seen.
            count += len(batch.inputs)
            if count == at_step * 16:
                os.kill(os.getpid(), signal.SIGINT)
            return original(batch)

        task.loss = loss
        return task


def test_more_epochs_later_equal_more_epochs_at_once(tmp_path, data):
    """With a schedule that does not depend on the end, 5 epochs and then 5 more are 10 epochs."""
    ten = fit(
        make_network(dropout=0.3), data, Plan(epochs=10, batch=16, schedule="constant"), tmp_path / "a", progress=False
    )
    fit(make_network(dropout=0.3), data, Plan(epochs=5, batch=16, schedule="constant"), tmp_path / "b", progress=False)
    more = Plan(epochs=10, batch=16, schedule="constant")
    five = fit(make_network(dropout=0.3), data, more, tmp_path / "b", resume=True, progress=False)
    assert_identical(weights_of(ten), weights_of(five))


def test_a_convolution_resumes_to_the_bit(tmp_path):
    """Its memory format and its optimiser's must survive the checkpoint."""

    def task():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten(), torch.nn.Linear(288, 1)
        )
        regression = make_network()
        regression.network = net
        return regression

    generator = torch.Generator().manual_seed(0)
    images, targets = torch.rand(32, 3, 8, 8, generator=generator), torch.rand(32, 1, generator=generator)
    data = Pair(Resident(images, targets), Resident(images, targets))
    plan = Plan(epochs=6, batch=16)
    whole = fit(task(), data, plan, tmp_path / "whole", progress=False)
    with pytest.raises(Interrupted):
        fit(Interrupting(task(), 5), data, plan, tmp_path / "broken", progress=False)
    resumed = fit(task(), data, plan, tmp_path / "broken", resume=True, progress=False)
    assert_identical(weights_of(whole), weights_of(resumed))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_where(tmp_path, data, number):
    task = make_network()
    original = task.loss
    task.loss = lambda batch: (os.kill(os.getpid(), number), original(batch))[1]
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stop:
        fit(task, data, Plan(epochs=3, batch=8), tmp_path / "run", progress=False)
    assert stop.value.folder == tmp_path / "run"
    assert Run.open(tmp_path / "run").state()["step"] == 1
    assert signal.getsignal(number) == before


def test_patience_stops_early_and_keeps_the_best(tmp_path, data):
    task = make_network()
    plan = Plan(epochs=200, batch=8, optimizer="sgd", lr=0.3, schedule="constant", patience=4, weight_decay=0)
    run = fit(task, data, plan, tmp_path / "run", progress=False)
    history = run.history()
    errors = [record["val_mse"] for record in history]
    assert len(history) < 200
    assert len(history) == errors.index(min(errors)) + 1 + 4
    assert evaluate(task, data.val)["mse"] == pytest.approx(min(errors), rel=1e-6), "the task holds the best weights"


def test_steps_limit_ends_within_an_epoch_and_is_measured(tmp_path, data):
    run = fit(make_network(), data, Plan(epochs=9, steps=7, batch=16), tmp_path / "run", progress=False)
    assert [record["step"] for record in run.history()] == [3, 6, 7]


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_the_average_is_what_is_measured_and_kept(tmp_path, data, average):
    plan = Plan(epochs=8, batch=8, optimizer="sgd", lr=0.05, schedule="constant", average=average, weight_decay=0)
    run = fit(make_network(norm=True), data, plan, tmp_path / "run", progress=False)
    kept, raw = weights_of(run), run.state()["model"]
    assert not torch.equal(kept["network.0.weight"], raw["network.0.weight"])
    loaded = make_network(norm=True)
    loaded.load_state_dict(kept)
    assert evaluate(loaded, data.val)["mse"] == pytest.approx(run.history()[-1]["val_mse"], rel=1e-6)


def test_training_loss_is_the_mean_over_examples(tmp_path, data):
    """At a learning rate too small to matter it equals the loss of the untrained network, batches being unequal."""
    task = make_network()
    expected = (task.network(data.train.inputs) - data.train.targets).square().mean().item()
    run = fit(task, data, Plan(epochs=1, batch=20, lr=1e-12), tmp_path / "run", progress=False)
    assert run.history()[0]["loss"] == pytest.approx(expected, rel=1e-6)


def test_bf16_learns_about_as_well_and_keeps_float32_weights(tmp_path, data):
    single = fit(make_network(), data, Plan(epochs=20, batch=16), tmp_path / "a", progress=False)
    half = fit(make_network(), data, Plan(epochs=20, batch=16, precision="bf16"), tmp_path / "b", progress=False)
    assert all(value.dtype == torch.float32 for value in weights_of(half).values())
    assert half.history()[-1]["val_mse"] == pytest.approx(single.history()[-1]["val_mse"], rel=0.1)
    assert half.history()[-1]["val_mse"] != single.history()[-1]["val_mse"]


def test_compiled_steps_learn_the_same(tmp_path, data):
    eager = fit(make_network(), data, Plan(epochs=3, batch=16), tmp_path / "a", progress=False)
    compiled = fit(make_network(), data, Plan(epochs=3, batch=16, compile=True), tmp_path / "b", progress=False)
    for name, value in weights_of(eager).items():
        torch.testing.assert_close(weights_of(compiled)[name], value, rtol=1e-4, atol=1e-5)


def test_an_existing_folder_is_never_overwritten(tmp_path, data):
    run = fit(make_network(), data, Plan(epochs=1), tmp_path / "run", progress=False)
    before = (run.folder / "best.safetensors").read_bytes()
    with pytest.raises(InputError, match="exists already; go on there with --resume, or choose another --out"):
        fit(make_network(seed=5), data, Plan(epochs=1), tmp_path / "run", progress=False)
    assert (run.folder / "best.safetensors").read_bytes() == before


def test_resuming_with_another_model_or_batch_is_one_clear_error(tmp_path, data):
    with pytest.raises(Interrupted):
        fit(Interrupting(make_network(), 2), data, Plan(epochs=4, batch=16), tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="go on with --batch 16"):
        fit(make_network(), data, Plan(epochs=4, batch=12), tmp_path / "run", resume=True, progress=False)
    other = make_network(norm=True)
    with pytest.raises(InputError, match="does not fit this model"):
        fit(other, data, Plan(epochs=4, batch=16), tmp_path / "run", resume=True, progress=False)


def test_a_metrics_file_ahead_of_the_checkpoint_is_rewound(tmp_path, data):
    """A kill after an evaluation but before its checkpoint leaves lines that resuming will write again."""
    plan = Plan(epochs=6, batch=16, save_every=1e9)
    with pytest.raises(Interrupted):
        fit(Interrupting(make_network(), 7), data, plan, tmp_path / "run", progress=False)
    run = Run.open(tmp_path / "run")
    run.append({"step": 9, "epoch": 3, "loss": 0.0, "val_mse": 0.0, "best": False})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 12, "ep')
    resumed = fit(make_network(), data, plan, tmp_path / "run", resume=True, progress=False)
    assert [record["epoch"] for record in resumed.history()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("log", "pattern"), [("csv", "logs/version_0/metrics.csv"), ("tensorboard", "logs/version_0/events.*")]
)
def test_loggers_write_into_the_run_folder(tmp_path, data, log, pattern):
    run = fit(make_network(), data, Plan(epochs=2, log=log), tmp_path / "run", progress=False)
    [file] = run.folder.glob(pattern)
    if log == "csv":
        header, *rows = file.read_text().splitlines()
        assert "val_mse" in header.split(",")
        assert len(rows) == 2
    else:
        assert file.stat().st_size > 100


def test_the_face_offers_the_loop():
    assert pendio.fit is fit
    assert pendio.Plan is Plan
