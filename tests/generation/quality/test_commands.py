"""The commands, with a maker in place of a trained run's task."""

import json

import numpy as np
import pytest
import torch

import pendio.recipes
from pendio.cli.making import Denoising, sample_examples
from pendio.data.images import read_image
from pendio.errors import InputError
from pendio.runs.run import Run

from ...conftest import mistake
from .conftest import Blur


class Steered(Blur):
    """A maker with arguments of its own, as a diffusion model has."""

    def sample(self, count, *, generator, labels=None, temperature=1.0, steps=1, guidance=1.0):
        self.asked = (steps, guidance)
        return super().sample(count, generator=generator, labels=labels, temperature=temperature)


@pytest.fixture
def run(digits_run, digits, monkeypatch):
    """A run whose task is a maker of digits."""
    maker = Steered(digits, noise=0.05)
    monkeypatch.setattr(pendio.recipes, "load", lambda name: maker)
    monkeypatch.setattr(pendio.recipes, "opened", lambda run, data=None: (maker, digits))
    run = Run(digits_run.folder, {**digits_run.config, "recipe": "diffuse"})
    run.maker = maker
    return run


def test_a_picture_has_a_class_a_column(run, tmp_path, capsys):
    sample_examples(run, 20, out=tmp_path / "all.png", temperature=0.0)
    assert "wrote" in capsys.readouterr().out
    picture = read_image(tmp_path / "all.png", grey=True)
    assert picture.shape == (1, 2 * 50 + 2, 10 * 50 + 2)
    assert torch.equal(picture[:, 2:50], picture[:, 52:100])


def test_the_classes_asked_for_are_made(run, tmp_path, capsys):
    sample_examples(run, 5, classes=["7", "2"], out=tmp_path / "some.npz", json_=True)
    assert json.loads(capsys.readouterr().out)["classes"] == ["7", "2", "7", "2", "7"]
    with np.load(tmp_path / "some.npz") as made:
        assert made["y"].tolist() == ["7", "2", "7", "2", "7"]
        assert made["x"].shape == (5, 1, 8, 8)


def test_the_same_seed_gives_the_same_examples(run, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample_examples(run, 300, seed=seed, out=tmp_path / f"{name}.npz")
    made = [np.load(tmp_path / f"{name}.npz")["x"] for name in "abc"]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_what_is_for_diffusion_reaches_it_and_nothing_else(run, tmp_path):
    denoising = Denoising(steps=7, guidance=2.0)
    sample_examples(run, 2, denoising=denoising, out=tmp_path / "a.png")
    assert run.maker.asked == (7, 2.0)
    run.config["recipe"] = "gan"
    with pytest.raises(InputError, match="--steps is for runs of 'train diffuse', and this is one of 'train gan'"):
        sample_examples(run, 2, denoising=denoising, out=tmp_path / "b.png")


@pytest.mark.parametrize(("options", "message"), [
    ({"number": 0}, "--number must be at least 1"),
    ({"temperature": -1.0}, "--temperature must be 0 or more"),
    ({"seed": -1}, "--seed must not be negative"),
    ({"classes": ["eleven"]}, "the model knows no class 'eleven'"),
])  # fmt: skip
def test_what_cannot_be_sampled_is_named_before_anything_is_written(run, tmp_path, options, message):
    with pytest.raises(InputError) as error:
        sample_examples(run, **{"number": 4, "out": tmp_path / "a.png", **options})
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_model_without_classes_is_asked_for_none(run, tmp_path):
    run.maker.classes = ()
    sample_examples(run, 4, out=tmp_path / "a.npz")
    assert np.load(tmp_path / "a.npz").files == ["x"]
    with pytest.raises(InputError, match="leave --class out"):
        sample_examples(run, 4, classes=["3"], out=tmp_path / "a.npz")


def test_quality_prints_what_was_made_beside_real_examples(cli, run):
    result = cli("quality", run.folder, "--features", "pixels", "--judge", run.folder, "-n", 100)
    assert result.code == 0, result.err
    for text in ("1,259 training examples of digits by pixels", "Fréchet distance", "coverage", "class as asked",
                 "share of 9", "all 10 classes are made"):  # fmt: skip
        assert text in result.out
    assert "compare only between equally many" in result.err


def test_quality_is_measured_by_the_judge_unless_told_otherwise(cli, run):
    result = cli("quality", run.folder, "--judge", run.folder, "-n", 40, "--json")
    found = json.loads(result.out)
    assert found["features"] == str(run.folder)
    assert found["made"]["examples"] == 40
    assert found["judged"]["accuracy"] > 0.9
    assert found["judged_real"]["examples"] == found["real"]["examples"]


def test_a_run_that_makes_nothing_is_refused(cli, digits_run):
    message = mistake(cli("quality", digits_run.folder, "--features", "pixels"))
    assert "is a run of 'train classify', which makes no examples" in message


def test_a_wrong_judge_costs_one_line(cli, run):
    assert "there is no run folder and no network 'nobody'" in mistake(cli("quality", run.folder, "--judge", "nobody"))
    assert "must be at least 1" in mistake(cli("quality", run.folder, "-n", 0))
    assert "is for runs of 'train diffuse'" in mistake(cli("quality", run.folder, "--steps", 5))
