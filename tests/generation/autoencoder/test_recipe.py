import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pendio.descent.loop import evaluate
from pendio.errors import InputError
from pendio.generation.autoencoder.options import AutoencodeOptions
from pendio.generation.autoencoder.recipe import load_autoencoder, open_data, run_options, train_autoencoder
from pendio.generation.autoencoder.report import write_report
from pendio.runs.run import Run

from ...conftest import mistake


def train(out, **options):
    run = train_autoencoder(AutoencodeOptions.of({"out": str(out), "width": 4, "latent": 4, **options}), progress=False)
    return run, load_autoencoder(run)


@pytest.fixture(scope="module")
def normal_run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "run", normal="0", epochs=30, batch=16, lr=4e-3, false_alarms=0.2)


def test_a_run_is_a_run_again(normal_run):
    run, task = normal_run
    again = load_autoencoder(Run.open(run.folder))
    inputs = torch.rand(5, 1, 8, 8)
    torch.testing.assert_close(again.strangeness(inputs), task.strangeness(inputs))
    assert torch.isfinite(again.threshold)


def test_other_digits_are_stranger_than_the_one_that_was_learned(normal_run):
    run, task = normal_run
    data = open_data(run_options(run))
    assert set(data.train.targets.tolist()) == {0}
    held = data.test.take(torch.arange(len(data.test)))
    scores = task.strangeness(held.inputs)
    assert scores[held.targets != 0].median() > 2 * scores[held.targets == 0].median()


def test_measuring_tells_how_well_anomalies_are_told_apart(normal_run):
    run, task = normal_run
    data = open_data(run_options(run))
    metrics = evaluate(task, data.test)
    assert metrics["auroc"] > 0.9
    assert 0 <= metrics["alarms"] < 0.5


def test_heat_maps_add_up_to_the_score(normal_run):
    _, task = normal_run
    inputs = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(task.heatmaps(inputs).flatten(1).mean(1), task.strangeness(inputs))


def test_the_report_shows_what_it_names(normal_run):
    run, task = normal_run
    write_report(run, task, open_data(run_options(run)))
    page = (run.folder / "report.html").read_text()
    assert "auroc" in page
    assert "pendio predict" in page
    for name in ("reconstructions", "strangest", "scores", "curves"):
        assert (run.folder / "pictures" / f"{name}.png").is_file()
    assert list((run.folder / "pictures").glob("reconstructions-*.png")), "a picture of each epoch"


def test_noise_is_taken_away(tmp_path):
    _, task = train(tmp_path / "run", corrupt="gaussian", level=0.3, epochs=40, lr=4e-3, latent=16)
    metrics = evaluate(task, open_data(AutoencodeOptions()).test)
    assert metrics["restored_psnr"] > metrics["corrupted_psnr"] + 3


def test_a_table_is_learned_in_its_own_units(tmp_path):
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(200, 1))
    rows = np.hstack([1000 + 50 * codes, -3 + 0.01 * codes, 7 + codes**2])
    lines = ["a,b,c", *(",".join(f"{value:.6f}" for value in row) for row in rows)]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    _, task = train(tmp_path / "run", data=str(tmp_path / "table.csv"), epochs=60, latent=1, lr=4e-3, false_alarms=0.2)
    made = task.predict(torch.tensor([[1050.0, -2.99, 8.0]]))[0]
    assert abs(made[0] - 1050) < 15
    strange = task.strangeness(torch.tensor([[1050.0, -2.99, 8.0], [1050.0, -3.01, 8.0]]))
    assert strange[1] > 10 * strange[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "--latent must be 1 to 4096"),
        ({"level": 0.0}, "--level must be in"),
        ({"false_alarms": 1.0}, "--false-alarms must be in"),
        ({"normal": "ten"}, "has no class 'ten'"),
        ({"data": "moons", "model": "conv"}, "--model conv is for images"),
        ({"size": 10}, "--size must be a multiple of 4"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", **options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((40, 1, 8, 8), 0.5), "are the same"),
        (3 * torch.rand(40, 1, 8, 8), "scale them to"),
    ],
)
def test_images_that_cannot_be_learned_are_refused(tmp_path, images, message):
    np.savez(tmp_path / "data.npz", x=images.numpy(), y=np.arange(40) % 2)
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", data=str(tmp_path / "data.npz"))


def test_the_command_line_judges_images_and_says_where(cli, normal_run):
    run, _ = normal_run
    result = cli("predict", run.folder, "coffee", "--out", "strange", "--json")
    assert result.code == 0, result.err
    (judged,) = json.loads(result.out)
    assert judged["anomaly"] is True
    assert Path(judged["file"]).read_bytes().startswith(b"\x89PNG")
    assert "coffee: score" in cli("predict", run.folder, "coffee").out
    assert "--top is for classifiers" in mistake(cli("predict", run.folder, "coffee", "--top", "3"))
    assert "makes no examples" in mistake(cli("sample", run.folder))


def test_a_run_is_measured_and_diagnosed_by_commands(cli, normal_run):
    run, _ = normal_run
    measured = json.loads(cli("evaluate", run.folder, "--json").out)
    assert measured["auroc"] > 0.9
    assert measured["split"] == "test"
    assert cli("diagnose", run.folder).code == 0
    assert cli("report", run.folder).code == 0


def test_rows_with_a_gap_are_no_normal_rows(cli, tmp_path):
    numbers = np.random.default_rng(0).normal(size=(60, 3))
    (tmp_path / "t.csv").write_text("a,b,c\n" + "\n".join(",".join(f"{x:.4f}" for x in row) for row in numbers))
    train(tmp_path / "run", data=str(tmp_path / "t.csv"), epochs=1, steps=2, false_alarms=0.3)
    (tmp_path / "new.csv").write_text("a,b,c\n1,2,3\n1,nan,3\n")
    assert "line 3: a value is NaN or infinite" in mistake(cli("predict", "run", "new.csv"))


def test_other_data_must_have_the_same_form_and_classes(cli, normal_run, tmp_path):
    run, _ = normal_run
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "other.npz", x=images, y=np.arange(40) % 2)
    assert "must be the same in the same order" in mistake(cli("evaluate", run.folder, "--data", "other.npz"))
    np.savez(tmp_path / "large.npz", x=images.repeat(2, 1).repeat(2, 2), y=np.arange(40) % 2)
    assert "the run learned from such of 1×8×8" in mistake(cli("evaluate", run.folder, "--data", "large.npz"))


def test_images_need_not_be_square(cli, tmp_path):
    np.savez(tmp_path / "wide.npz", x=np.random.default_rng(0).integers(0, 256, (60, 8, 12), dtype=np.uint8))
    train(tmp_path / "run", data="wide.npz", model="dense", steps=2, epochs=1, false_alarms=0.3)
    result = cli("predict", "run", "coffee")
    assert result.code == 0, result.err
