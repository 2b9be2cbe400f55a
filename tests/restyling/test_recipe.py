import pytest
import torch
import yaml

import pendio
from pendio.errors import InputError
from pendio.restyling.recipe import load_restyler, open_data, run_options
from pendio.runs.run import Run

from ..data.conftest import picture
from .conftest import QUICK


def train(out, **options):
    return pendio.train("restyle", progress=False, out=str(out), **{**QUICK, **options})


def test_training_comes_nearer_to_the_style(restyle_run):
    history = restyle_run.history()
    assert history[-1]["val_loss"] < 0.85 * history[0]["val_loss"]
    assert history[-1]["val_style"] < history[0]["val_style"]


def test_a_trained_run_loads_as_it_was_with_and_without_the_eye(restyle_run):
    task = pendio.load(restyle_run.folder)
    judging = load_restyler(restyle_run, judging=True)
    images = torch.rand(1, 3, 19, 26)
    assert torch.equal(task.predict(images), judging.predict(images))
    assert not any(parameter.requires_grad for parameter in task.parameters())
    best = [record for record in restyle_run.history() if record["best"]][-1]
    metrics = pendio.evaluate(judging, open_data(run_options(restyle_run)).val)
    assert metrics == pytest.approx({name: best[f"val_{name}"] for name in metrics}, rel=1e-4)


def test_the_folder_holds_the_restyler_and_a_report(restyle_run):
    assert all(name.startswith("restyler.") for name in restyle_run.weights())
    config = yaml.safe_load((restyle_run.folder / "config.yaml").read_text())
    assert (config["recipe"], config["channels"], config["options"]["style"]) == ("restyle", 3, "grass")
    page = (restyle_run.folder / "report.html").read_text()
    for text in ("the style of grass on photos", "pendio train restyle --config", "Held-out images before and after"):
        assert text in page
    assert {"curves.png", "restyled.png", "style.png", "layers.png"} <= {
        path.name for path in (restyle_run.folder / "pictures").iterdir()
    }


def test_resuming_goes_on_to_the_bit(tmp_path):
    options = {"epochs": 2, "schedule": "constant"}
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "parts", steps=2, **options)
    parts = train(tmp_path / "parts", resume=True, **options)
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name


def test_a_plain_folder_of_images_is_enough(tmp_path):
    for number in range(8):
        picture(number, (50, 40)).save(tmp_path / f"{number}.jpg")
    picture(99, (60, 30)).save(tmp_path / "style.png")
    run = train(tmp_path / "run", data=str(tmp_path), style=str(tmp_path / "style.png"), epochs=1, batch=2, workers=0)
    assert run.config["data"]["examples"] == {"train": 6, "val": 1, "test": 2}
    assert run.config["data"]["shape"] == [3, 32, 32]


def test_a_grey_network_makes_a_grey_restyler(tmp_path, digits_run):
    options = {"loss_network": str(digits_run.folder), "style": "moon", "size": None, "style_size": 8}
    run = train(tmp_path / "run", data="digits", epochs=1, steps=5, augment="none", **options)
    assert pendio.load(run.folder).predict(torch.rand(1, 1, 9, 11)).shape == (1, 1, 9, 11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "gras"}, "input 'gras' is neither a file or folder, nor an embedded photo"),
        ({"style": "photos"}, "'photos' holds 17 images; name the one that is meant"),
        ({"size": 8}, "images of 8×8 are too small: the network's first maps of them have 4 places a side"),
        ({"data": "moons"}, "is for images, and 'moons' has none"),
        ({"data": "moons", "augment": "none", "size": None}, "--data 'moons' has no images but points"),
        ({"data": "textures"}, "--size 32: the images of 'textures' are 64×64; leave it out"),
        ({"data": "nothing"}, "no data 'nothing'"),
        ({"augment": "mixup"}, "--augment mixup mixes labels, and restyling has none"),
        ({"loss_network": "cnn"}, "'cnn' is a form without weights"),
        ({"loss_network": "lite"}, "there is no run folder and no network 'lite'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(InputError) as error:
        train(tmp_path / "run", **options)
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_colour_images_do_not_suit_a_grey_loss_network(tmp_path, digits_run):
    with pytest.raises(InputError, match="sees 1 channel, and the images of 'photos' have 3"):
        train(tmp_path / "run", loss_network=str(digits_run.folder), style_size=16)


def test_what_does_not_describe_a_restyler_is_refused(restyle_run):
    def changed(change):
        config = yaml.safe_load((restyle_run.folder / "config.yaml").read_text())
        change(config)
        return Run(restyle_run.folder, config)

    for change, message in (
        (lambda config: config.update(recipe="classify"), "is not one of 'train restyle'"),
        (lambda config: config.pop("plan"), "has no options or no plan"),
        (lambda config: config.pop("channels"), "does not say how many channels"),
        (lambda config: config["options"].update(width=8), "do not fit its config"),
        (lambda config: config["options"].pop("style"), "--style is missing"),
    ):
        with pytest.raises(InputError, match=message):
            load_restyler(changed(change))
