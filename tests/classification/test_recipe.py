import numpy as np
import pytest
import torch
import yaml

import pendio
from pendio.classification.options import Classify
from pendio.classification.recipe import classify, load_classifier, open_data, run_options
from pendio.errors import InputError
from pendio.runs.run import Run


def train(out, **options):
    defaults = {"data": "digits", "model": "cnn", "epochs": 1, "lr": 0.005, "out": str(out)}
    return classify(Classify.of({**defaults, **options}), progress=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Arrays of grey images of two classes: dark and light."""
    random = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (random.integers(0, 128, (60, 16, 16)) + 127 * y[:, None, None]).astype(np.uint8)
    path = tmp_path_factory.mktemp("small") / "small.npz"
    np.savez(path, x=x, y=y)
    return str(path)


def test_a_trained_run_loads_as_it_was(digits_run):
    task = pendio.load(digits_run.folder)
    data = open_data(run_options(digits_run))
    metrics = pendio.evaluate(task, data.val)
    best = [record for record in digits_run.history() if record["best"]][-1]
    assert metrics["accuracy"] == pytest.approx(best["val_accuracy"])
    assert metrics["loss"] == pytest.approx(best["val_loss"], rel=1e-5)
    assert best["val_accuracy"] > 0.95
    assert not any(parameter.requires_grad for parameter in task.parameters())


def test_the_config_says_all_that_is_needed(digits_run):
    config = yaml.safe_load((digits_run.folder / "config.yaml").read_text())
    assert set(config) == {"recipe", "options", "data", "plan", "versions"}
    assert config["data"]["classes"] == [str(number) for number in range(10)]
    assert config["data"]["examples"] == {"train": 1259, "val": 179, "test": 359}
    assert config["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "out" not in config["options"]
    assert "resume" not in config["options"]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path):
    first, again, other = (train(tmp_path / str(n), seed=seed, dropout=0.3) for n, seed in enumerate((1, 1, 2)))
    for name, value in first.weights("last").items():
        assert torch.equal(value, again.weights("last")[name]), name
    assert not torch.equal(
        first.weights("last")["network.module.head.weight"], other.weights("last")["network.module.head.weight"]
    )


def test_training_leaves_the_callers_random_numbers_alone(tmp_path, small):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tmp_path / "run", data=small)
    assert torch.equal(torch.rand(3), expected)


def test_a_frozen_body_stays_to_the_bit_and_the_head_learns_on_cached_features(tmp_path, small):
    """Cached features must lead to the very head that recomputing them in each epoch leads to."""
    body = train(tmp_path / "body", data=small, model="cnn")
    options = {"data": small, "weights": str(body.folder / "best.safetensors"), "freeze": True, "epochs": 3}
    cached = train(tmp_path / "cached", **options)
    weights = cached.weights("last")
    for name, value in body.weights("best").items():
        if ".body." in name:
            assert torch.equal(value, weights[name]), name
    assert not torch.equal(weights["network.module.head.weight"], body.weights()["network.module.head.weight"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pendio.classification.recipe._CACHE_BYTES", 0)
        recomputed = train(tmp_path / "recomputed", **options)
    for name, value in recomputed.weights("last").items():
        torch.testing.assert_close(value, weights[name], rtol=1e-4, atol=1e-6)
    losses = [[record["loss"] for record in run.history()] for run in (cached, recomputed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_augmentation_changes_what_a_frozen_body_sees(tmp_path, small):
    body = train(tmp_path / "body", data=small)
    options = {"data": small, "weights": str(body.folder / "best.safetensors"), "freeze": True}
    plain, shifted = train(tmp_path / "plain", **options), train(tmp_path / "shift", augment="shift,jitter", **options)
    assert plain.history()[0]["loss"] != shifted.history()[0]["loss"]


def test_tuning_moves_the_last_stage_alone(tmp_path, small):
    body = train(tmp_path / "body", data=small, model="resnet")
    tuned = train(tmp_path / "tuned", data=small, model="resnet", weights=str(body.folder / "best.safetensors"), tune=1)
    moved = [
        name
        for name, value in tuned.weights("last").items()
        if ".body." in name and not torch.equal(value, body.weights()[name])
    ]
    assert moved
    assert all(".body.stages.2." in name for name in moved)


def test_balanced_class_weights_make_rare_classes_as_likely_as_frequent_ones(tmp_path):
    """Inputs that tell nothing: the mean probability of the rare class is its share, or a half when balanced."""
    y = np.array([0] * 400 + [1] * 100)
    path = str(tmp_path / "rare.npz")
    np.savez(path, x=np.random.default_rng(0).normal(size=(500, 1)).astype(np.float32), y=y)
    for weights, expected in (("none", 0.2), ("balanced", 0.5)):
        run = train(tmp_path / weights, data=path, model="mlp", epochs=10, lr=0.002, class_weights=weights)
        task = load_classifier(run)
        task.load_state_dict(run.weights("last"))
        assert float(task.predict(torch.linspace(-1, 1, 50)[:, None])[:, 1].mean()) == pytest.approx(expected, abs=0.06)


def test_a_table_and_points_are_learnt(tmp_path):
    rows = [f"{n % 7},{'red' if n % 2 else 'blue'},{'yes' if n % 2 else 'no'}" for n in range(80)]
    (tmp_path / "table.csv").write_text("\n".join(["size,color,answer", *rows]))
    run = train(tmp_path / "table", data=str(tmp_path / "table.csv"), target="answer", model="mlp", epochs=15)
    assert run.history()[-1]["val_accuracy"] == 1.0
    moons = train(tmp_path / "moons", data="moons", model="mlp", epochs=20)
    assert moons.history()[-1]["val_accuracy"] > 0.97
    assert (moons.folder / "pictures" / "regions.png").is_file()


def test_resuming_through_the_recipe_goes_on_to_the_bit(tmp_path):
    options = {"epochs": 2, "augment": "shift", "average": "ema", "schedule": "constant", "dropout": 0.2}
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "parts", steps=20, **options)
    parts = train(tmp_path / "parts", resume=True, **options)
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name


def test_what_does_not_describe_a_classifier_is_refused(tmp_path, digits_run):
    def changed(change):
        config = yaml.safe_load((digits_run.folder / "config.yaml").read_text())
        change(config)
        return Run(digits_run.folder, config)

    for change, message in (
        (lambda config: config.pop("recipe"), "is not one of 'train classify'"),
        (lambda config: config.pop("plan"), "has no options or no plan"),
        (lambda config: config["data"].pop("shape"), "does not describe its data"),
        (lambda config: config["data"].update(classes="no"), "do not fit its config"),
        (lambda config: config["data"].update(shape=[1, 16, 16]), "do not fit its config"),
        (lambda config: config["options"].update(model="lenet"), "do not fit its config: Missing key"),
        (lambda config: config["options"].update(modle="lenet"), "unknown option 'modle'"),
    ):
        with pytest.raises(InputError, match=message):
            load_classifier(changed(change))
