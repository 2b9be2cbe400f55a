import pytest
import torch
import yaml

from pendio.descent.loop import evaluate
from pendio.errors import InputError
from pendio.generation.vae.recipe import load_vae, open_data, run_options

from ...conftest import pixels
from .conftest import train


def test_training_makes_examples_likelier_and_reconstructions_nearer(vae_run, points_run):
    for run in (vae_run, points_run):
        history = run.history()
        assert history[-1]["val_elbo"] > history[0]["val_elbo"]
        assert history[-1]["val_mse"] < history[0]["val_mse"]


def test_a_trained_run_loads_as_it_was(vae_run):
    task, data = load_vae(vae_run), open_data(run_options(vae_run))
    best = [record for record in vae_run.history() if record["best"]][-1]
    metrics = evaluate(task, data.val, batch=128)
    assert metrics == pytest.approx({name: best[f"val_{name}"] for name in metrics}, rel=1e-4)
    assert not any(parameter.requires_grad for parameter in task.parameters())
    assert task.latent == (2,)
    assert task.shape == (1, 8, 8)


def test_the_second_stage_is_kept_with_the_weights_and_sampled_from(vae_run):
    task = load_vae(vae_run)
    assert task.second_stage.fitted
    assert task.second_stage.means.shape == (4, 2)
    made = task.sample(40, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(made, task.decode(task.second_stage.sample(40, generator)))


def test_the_second_stage_makes_codes_likelier_than_the_prior_does(vae_run):
    task = load_vae(vae_run)
    codes = task.encode(open_data(run_options(vae_run)).val.inputs)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(codes).sum(1)
    assert task.second_stage.log_prob(codes).mean() > prior.mean()


def test_the_folder_holds_pictures_of_every_epoch_and_a_report(vae_run):
    names = {path.name for path in (vae_run.folder / "pictures").iterdir()}
    assert {"samples-0001.png", "samples-0002.png", "reconstructions-0002.png"} <= names
    assert {"second-stage.png", "plane.png", "dimensions.png", "curves.png", "reconstructions.png"} <= names
    plane = pixels((vae_run.folder / "pictures" / "plane.png").read_bytes())
    assert plane.shape == (15 * 50 + 2, 15 * 50 + 2, 3)
    page = (vae_run.folder / "report.html").read_text()
    for text in (
        "log_likelihood",
        "The latent plane",
        "pendio train vae --config",
        "What each latent dimension carries",
    ):
        assert text in page
    config = yaml.safe_load((vae_run.folder / "config.yaml").read_text())
    assert (config["recipe"], config["options"]["latent"], config["options"]["data"]) == ("vae", 2, "digits")


def test_rows_are_standardised_and_come_back_in_their_own_units(points_run):
    task, data = load_vae(points_run), open_data(run_options(points_run))
    made = task.sample(400, generator=torch.Generator().manual_seed(0))
    assert made.shape == (400, 2)
    assert torch.allclose(made.mean(0), data.train.inputs.mean(0), atol=0.25)
    assert "first two features" in (points_run.folder / "report.html").read_text()


def test_resuming_goes_on_to_the_bit_with_annealing(tmp_path):
    options = {"schedule": "constant", "anneal": 2, "second_stage": "none", "latent": 3}
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "parts", steps=10, **options)
    parts = train(tmp_path / "parts", resume=True, **options)
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name
    assert int(parts.weights("last")["step"]) == 20
    assert "second_stage.means" not in parts.weights("best")


@pytest.mark.parametrize("options", [{"likelihood": "bernoulli"}, {"balance": True}, {"likelihood": "gaussian"}])
def test_each_likelihood_learns_and_loads(tmp_path, options):
    run = train(tmp_path / "run", second_stage="none", model="dense", steps=12, **options)
    history = run.history()
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    task = load_vae(run)
    assert task.predict(torch.rand(2, 1, 8, 8)).shape == (2, 1, 8, 8)
    if "balance" in options:
        assert history[-1]["val_sigma"] < history[0]["val_sigma"]


def test_images_can_be_brought_to_another_size(tmp_path):
    run = train(tmp_path / "run", size=12, steps=1, second_stage="none")
    assert load_vae(run).sample(2, generator=torch.Generator().manual_seed(0)).shape == (2, 1, 12, 12)


def table(path, rows):
    path.write_text("\n".join(["a,b,kind", *rows]) + "\n")
    return str(path)


def test_a_table_of_numbers_is_learned(tmp_path):
    generator = torch.Generator().manual_seed(0)
    values = 100 + 20 * torch.randn(60, 2, generator=generator)
    data = table(tmp_path / "t.csv", [f"{a:.3f},{b:.3f},{'xy'[n % 2]}" for n, (a, b) in enumerate(values.tolist())])
    run = train(tmp_path / "run", data=data, target="kind", batch="all")
    made = load_vae(run).sample(50, generator=torch.Generator().manual_seed(0))
    assert 60 < float(made.mean()) < 140


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "moons", "likelihood": "bernoulli"}, "--likelihood bernoulli is for pixels, and 'moons' has none"),
        ({"data": "moons", "model": "conv"}, "--model conv is for images, and 'moons' has none; use dense"),
        ({"data": "moons", "size": 16}, "--data 'moons' has no images but points"),
        ({"components": 900, "data": "textures", "size": 8}, "--components 900 is more than the .* training examples"),
        ({"data": "nothing"}, "no data 'nothing'"),
        ({"augment": "mixup"}, "--augment mixup makes images that are not of the data"),
    ],
)
def test_what_does_not_fit_the_data_is_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,nan,x", "2,3,y", "4,5,x", "6,7,y"] * 5, "column .b. is not finite"),
        (["1,1,x", "1,1,y"] * 10, "all examples of .* are the same"),
        (["1,2,x"], "."),
    ],
)
def test_tables_that_hold_nothing_to_learn_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        train(tmp_path / "run", data=table(tmp_path / "t.csv", rows), target="kind")


def test_images_that_convolutions_cannot_halve_twice_are_refused(tmp_path):
    import numpy as np

    path = tmp_path / "odd.npz"
    images = np.random.default_rng(0).integers(0, 256, (30, 10, 10), dtype=np.uint8)
    np.savez(path, x=images, y=np.arange(30) % 2)
    with pytest.raises(InputError, match="are 10×10: convolutions need a side of a multiple of 4"):
        train(tmp_path / "run", data=str(path))
    assert train(tmp_path / "run", data=str(path), model="dense", batch=8, steps=2).history()


def test_a_run_of_another_recipe_or_a_damaged_config_is_refused(vae_run, digits_run):
    with pytest.raises(InputError, match="is not one of 'train vae'"):
        load_vae(digits_run)
    from pendio.runs.run import Run

    broken = Run(vae_run.folder, {**vae_run.config, "data": {"shape": [1, 8, 8]}})
    with pytest.raises(InputError, match="does not describe its data"):
        load_vae(broken)
