import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from pendio.descent.loop import fit
from pendio.errors import InputError
from pendio.generation.gan import recipe
from pendio.generation.gan.options import GanOptions
from pendio.generation.gan.recipe import load_gan, open_data, run_options, train_gan
from pendio.generation.gan.task import Rules
from pendio.runs.run import Run

from .conftest import QUICK


def test_a_run_has_samples_of_each_epoch_a_report_and_its_curves(gan_run):
    names = {path.name for path in (gan_run.folder / "pictures").iterdir()}
    assert {"samples-0001.png", "samples-0002.png", "samples.png", "modes.png", "game.png", "inverted.png"} <= names
    assert "Diagnosis" in (gan_run.folder / "report.html").read_text()
    record = gan_run.history()[-1]
    assert {"loss", "val_loss", "val_accuracy", "val_gap", "val_kernel", "val_diversity"} <= set(record)
    assert gan_run.config["recipe"] == "gan"


def test_a_run_comes_back_with_its_classes_and_makes_the_same_again(gan_run):
    first, second = load_gan(Run.open(gan_run.folder)), load_gan(gan_run)
    made = [game.sample(4, generator=torch.Generator().manual_seed(0)) for game in (first, second)]
    assert torch.equal(*made)
    assert len(first.classes) == 2
    assert first.shares.tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    assert float(first.components.directions.abs().sum()) > 0
    assert run_options(gan_run).conditional


def test_points_are_made_in_their_own_units(points_run):
    game, data = load_gan(points_run), open_data(run_options(points_run))
    made = game.sample(200, generator=torch.Generator().manual_seed(0))
    assert made.shape == (200, 2)
    assert torch.allclose(game.restore(game.prepare(data.train.inputs)), data.train.inputs, atol=1e-5)
    assert game.pictures() == {}
    assert (points_run.folder / "pictures" / "points.png").exists()


def play(out, **options):
    """A training without its report: the task as it was, and the run."""
    options = GanOptions.of({**QUICK, "schedule": "constant", **options, "out": str(out)})
    data = open_data(options)
    task = recipe._new_task(options, data.describe(), [0.5, 0.5])
    before = {name: value.clone() for name, value in task.state_dict().items()}
    return before, fit(task, data, options.plan, out, options.resume, progress=False)


def test_the_rules_suit_the_data():
    def rules(shape, **options):
        facts = {"shape": shape, "mean": [0.0] * shape[0], "std": [1.0] * shape[0], "classes": []}
        return recipe._new_task(GanOptions.of(options), facts, []).rules

    everything = ("color", "translation", "cutout")
    assert rules((1, 8, 8)) == Rules(r1=1.0, changes=("translation",))
    assert rules((3, 8, 8)) == Rules(r1=1.0, changes=everything)
    assert rules((2,)) == Rules(r1=0.02)
    assert rules((3, 8, 8), loss="wasserstein") == Rules(game="wasserstein", penalty=10.0, changes=everything)


def test_a_game_with_a_penalty_can_be_compiled(archive, tmp_path):
    before, run = play(tmp_path / "run", data=archive, steps=1, compile=True, model="dense")
    assert run.history()
    assert any(not torch.equal(value, run.weights("last")[name]) for name, value in before.items())


@pytest.mark.parametrize("rules", [{"loss": "minimax"}, {"loss": "hinge"}, {"loss": "wasserstein", "critic_steps": 2},
                                   {"r1": 1.0, "accumulate": 2}])  # fmt: skip
def test_every_game_trains_and_moves_both_players(rules, archive, tmp_path):
    before, run = play(tmp_path / "run", data=archive, steps=3, **rules)
    after = run.weights("last")
    moved = {name for name, value in before.items() if not torch.allclose(value, after[name], atol=1e-5)}
    assert any(name.startswith("generator.layers") for name in moved)
    assert any(name.startswith("discriminator.features") for name in moved)


def test_the_same_seed_gives_the_same_numbers_and_resuming_changes_none(archive, tmp_path):
    options = {"data": archive, "critic_steps": 3}
    whole = play(tmp_path / "whole", **options)[1].weights("last")
    play(tmp_path / "cut", epochs=1, **options)
    cut = play(tmp_path / "cut", resume=True, **options)[1].weights("last")
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "moons", "model": "conv"}, "--model conv is for images"),
        ({"data": "moons", "diff_augment": "cutout"}, "--diff-augment is for images"),
        ({"data": "moons", "size": 16}, "has no images but points"),
        ({"batch": 1}, "--batch must be at least 2"),
    ],
)
def test_options_that_do_not_fit_the_data_are_named(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        train_gan(GanOptions.of({**options, "out": str(tmp_path / "run")}), progress=False)


def test_images_of_an_odd_side_ask_for_a_size_or_dense_layers(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "odd.npz"
    np.savez(path, x=rng.integers(0, 256, (20, 9, 9), np.uint8), y=np.arange(20) % 2)
    with pytest.raises(InputError, match="--size, or use --model dense"):
        open_data(GanOptions(data=str(path)))
    assert open_data(GanOptions(data=str(path), size=12)).shape == (1, 12, 12)
    run = train_gan(GanOptions.of({**QUICK, "data": str(path), "model": "dense", "out": str(tmp_path / "run"), "batch": 4}),
                    progress=False)  # fmt: skip
    assert load_gan(run).sample(2, generator=torch.Generator().manual_seed(0)).shape == (2, 1, 9, 9)


def test_a_damaged_config_is_no_traceback(gan_run, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(gan_run.folder, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    del config["shares"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match="does not say how often"):
        load_gan(Run.open(folder))


def test_both_players_learn_in_two_processes(tmp_path):
    processes = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "pendio"]
    options = ["--data", "moons", "--width", "8", "--steps", "4", "--epochs", "1", "--out", str(tmp_path / "run")]
    command = [*processes, "train", "gan", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    run = Run.open(tmp_path / "run")
    with torch.random.fork_rng():
        untrained = recipe._new_task(run_options(run), run.config["data"], [0.5, 0.5]).state_dict()
    learned = run.weights("last")
    for player in ("generator", "discriminator"):
        moved = [name for name in learned if name.startswith(player) and name.endswith("weight")
                 and not torch.equal(learned[name], untrained[name])]  # fmt: skip
        assert moved, player
