import dataclasses

import pytest
import torch

import pendio.data
from pendio.descent.loop import evaluate
from pendio.errors import InputError
from pendio.generation.diffusion import recipe
from pendio.generation.diffusion.diagnosis import diagnose_diffusion, diagnose_levels, diagnose_made
from pendio.generation.diffusion.options import DiffuseOptions
from pendio.generation.diffusion.probe import LevelErrors, MadeOf, level_errors, made
from pendio.generation.diffusion.recipe import load_diffusion, open_data, run_options, train_diffusion
from pendio.generation.diffusion.report import write_report

from .conftest import make_task, seeded


def test_a_run_holds_all_that_is_needed_to_go_on(moons_run, moons):
    options = run_options(moons_run)
    assert moons_run.recipe == "diffuse"
    data = open_data(options)
    measured = evaluate(moons, data.val)
    best = [record for record in moons_run.history() if record["best"]][-1]
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert (moons.classes, moons.shape) == (("0", "1"), (2,))
    assert moons.frequencies.tolist() == list(data.class_counts)
    assert not any(weight.requires_grad for weight in moons.parameters())


def test_images_leave_pictures_of_every_epoch_and_a_report(digits_run):
    names = {path.name for path in (digits_run.folder / "pictures").iterdir()}
    assert {"samples-0001.png", "samples.png", "trajectory.png", "levels-of-noise.png"} <= names
    page = (digits_run.folder / "report.html").read_text()
    assert "diffusion on digits" in page
    assert "pendio sample" in page


def test_small_images_are_enlarged_unless_a_size_is_given():
    assert open_data(DiffuseOptions()).shape == (1, 16, 16)
    assert open_data(DiffuseOptions(size=8)).shape == (1, 8, 8)


def test_an_untrained_model_is_told_so(digits_run):
    task = load_diffusion(digits_run)
    data = open_data(run_options(digits_run))
    kinds = [finding.kind for finding in diagnose_diffusion(digits_run, task, data)]
    assert "untrained" in kinds or "untrained-levels" in kinds


def test_a_trained_model_is_better_than_its_mean_at_every_level(moons_run, moons):
    data = open_data(run_options(moons_run))
    errors = level_errors(moons, data)
    assert diagnose_levels(errors) == []
    assert list(errors.noise) == sorted(errors.noise)
    found = made(moons, data)
    assert 0.9 < found.contrast < 1.1
    write_report(moons_run, moons, data)


def test_the_trivial_guess_is_the_best_for_a_gaussian():
    task = make_task(shape=(3,))
    data = pendio.data.open("moons")
    rows = torch.randn(4000, 3, generator=seeded(7)) * torch.tensor([0.3, 0.6, 0.1]) + 0.4
    split = dataclasses.replace(data.train, inputs=rows, targets=torch.zeros(4000).long())
    errors = level_errors(task, dataclasses.replace(data, train=split, val=split), 5)
    for noise, trivial in zip(errors.noise, errors.trivial, strict=True):
        variances = (torch.tensor([0.3, 0.6, 0.1]) / 0.3) ** 2
        expected = float((variances * noise**2 / ((1 - noise**2) * variances + noise**2)).mean())
        assert trivial == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize(
    ("found", "kind", "flag"),
    [
        (diagnose_made(MadeOf(0.8, 0.01, 50, 0.95)), "contrast", "--noise-schedule cosine"),
        (diagnose_made(MadeOf(0.8, 0.01, 50, 1.0)), "contrast", "--epochs 100"),
        (diagnose_made(MadeOf(1.3, 0.01, 50, 0.95)), "contrast", "--epochs 100"),
        (diagnose_made(MadeOf(1.0, 0.4, 5, 1.0)), "few-steps", "--sampler heun --steps 5"),
        (diagnose_levels(LevelErrors((0.05, 0.4, 0.7), (9, 0.2, 0.4), (1, 0.2, 0.4))), "untrained",
         "--epochs 100 --width 64"),
        (diagnose_levels(LevelErrors((0.05, 0.4, 0.7), (9, 0.2, 0.1), (1, 0.2, 0.4))), "untrained-levels",
         "--predict velocity --epochs 100"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_an_option_that_helps(found, kind, flag):
    assert [(one.kind, one.flag) for one in found] == [(kind, flag)]


def test_what_is_well_is_not_complained_of():
    assert diagnose_made(MadeOf(0.98, 0.05, 50, 1.0)) == []
    assert diagnose_levels(LevelErrors((0.05, 0.5, 0.99), (9, 0.1, 9), (1, 0.3, 1))) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "moons", "size": 8}, "has no images but points"),
        ({"data": "digits", "size": 8, "multipliers": "1,1,1,1"}, "halves images of 8×8 too often"),
        ({"data": "digits", "augment": "mixup"}, "makes images that are not of the data"),
        ({"data": "digts"}, "no data 'digts'"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train_diffusion(DiffuseOptions.of({**options, "out": str(tmp_path / "run")}), progress=False)
    assert not (tmp_path / "run").exists()


def test_rows_meet_several_noises_in_a_step_and_images_one():
    def draws(shape, **options):
        return recipe._new_task(DiffuseOptions.of(options), shape, [0.0], [1.0], (), []).draws

    assert (draws((1, 16, 16)), draws((2,)), draws((2,), draws=1), draws((1, 16, 16), draws=4)) == (1, 8, 1, 4)


def test_options_of_another_recipe_are_refused(moons_run):
    other = type(moons_run)(moons_run.folder, moons_run.config | {"recipe": "vae"})
    with pytest.raises(InputError, match="is not one of 'train diffuse'"):
        load_diffusion(other)
    damaged = type(moons_run)(moons_run.folder, moons_run.config | {"data": {}})
    with pytest.raises(InputError, match="does not describe its data"):
        load_diffusion(damaged)
