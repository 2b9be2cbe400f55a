import numpy as np
import pytest
import torch

from pendio.errors import InputError
from pendio.generation.flow.diagnosis import diagnose_flow
from pendio.generation.flow.options import FlowOptions
from pendio.generation.flow.recipe import load_flow, open_data, run_options, train_flow
from pendio.generation.making import Latent, Maker
from pendio.runs.run import Run

from .conftest import QUICK


def test_a_run_has_samples_of_each_epoch_and_a_report(bars_run):
    names = {path.name for path in (bars_run.folder / "pictures").iterdir()}
    assert {"samples-0001.png", "samples-0002.png", "samples.png", "cool.png", "extremes.png"} <= names
    assert (bars_run.folder / "report.html").exists()
    assert {"loss", "val_loss", "val_nll", "val_bpd"} <= set(bars_run.history()[-1])


def test_codes_of_classes_lead_back_to_images(bars_run):
    task = load_flow(Run.open(bars_run.folder))
    assert isinstance(task, Maker)
    assert isinstance(task, Latent)
    images = open_data(run_options(bars_run)).val.take(torch.arange(4)).inputs
    codes = task.encode(images)
    assert codes.shape == (4, 66)
    assert torch.allclose(task.decode(codes), images / 255, atol=1e-3)


def test_the_density_of_points_integrates_to_one_in_their_own_units(moons_run):
    from pendio.generation.flow.pictures import density_plane

    task, data = load_flow(moons_run), open_data(run_options(moons_run))
    assert density_plane(task, data.train.inputs, margin=2.0).integral == pytest.approx(1, abs=0.01)
    assert (moons_run.folder / "pictures" / "density.png").exists()
    assert task.pictures() == {}
    assert isinstance(diagnose_flow(moons_run, task, data), list)


def test_samples_come_again_with_their_seed_and_cooler_ones_are_nearer(moons_run):
    task = load_flow(moons_run)
    hot, again, cold = (
        task.sample(50, generator=torch.Generator().manual_seed(0), temperature=t) for t in (1.0, 1.0, 0.1)
    )
    assert torch.equal(hot, again)
    assert float(cold.std()) < float(hot.std())


def test_the_whole_density_is_the_mean_of_those_of_the_classes(bars_run):
    task = load_flow(bars_run)
    images = torch.rand(3, 1, 8, 8)
    each = task.class_log_probs(images).double()
    shares = task.shares.double() / task.shares.sum()
    assert torch.allclose(task.log_prob(images).double(), (each + shares.log()).logsumexp(1), atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"model": "glow", "data": "moons"}, "for images"), ({"size": 9}, "halves sides"), ({"layers": 0}, "--layers"),
     ({"alpha": 0.5}, "--alpha"), ({"bound": 0.0}, "--bound")],
)  # fmt: skip
def test_what_does_not_fit_is_said(options, message):
    with pytest.raises(InputError, match=message):
        open_data(FlowOptions.of(options))


def test_no_class_can_be_asked_of_a_flow_without(moons_run):
    with pytest.raises(InputError, match="--conditional"):
        load_flow(moons_run).sample(2, generator=torch.Generator(), labels=torch.tensor([0, 1]))


@pytest.mark.parametrize("model", ["realnvp", "maf", "nsf-ar"])
def test_every_model_trains_on_points(model, tmp_path):
    options = {**QUICK, "data": "moons", "model": model, "out": str(tmp_path / "run"), "steps": 2}
    assert train_flow(FlowOptions.of(options), progress=False).history()


@pytest.mark.parametrize("model", ["maf", "nsf", "glow"])
def test_images_with_a_black_border_begin_with_a_finite_loss(model, tmp_path):
    images = np.zeros((80, 8, 8), np.uint8)
    images[:, 2:6, 2:6] = np.random.default_rng(0).integers(0, 256, (80, 4, 4))
    np.savez(tmp_path / "framed.npz", x=images)
    options = {**QUICK, "data": str(tmp_path / "framed.npz"), "model": model, "epochs": 1, "out": str(tmp_path / "run")}
    run = train_flow(FlowOptions.of(options), progress=False)
    assert run.history()[0]["loss"] < 20
