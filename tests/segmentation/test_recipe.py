import pytest
import torch
import yaml
from PIL import Image

from pendio.descent.loop import evaluate
from pendio.errors import InputError
from pendio.runs.run import Run
from pendio.segmentation.recipe import load_segmenter, open_data, run_options

from .conftest import CLASSES, shapes, train


def test_training_learns_and_measures(run):
    history = run.history()
    assert history[-1]["val_miou"] > max(0.5, history[0]["val_miou"])
    assert {"val_pixel_accuracy", "val_weighted_iou", "val_boundary_f1", "val_loss"} <= set(history[0])


def test_a_trained_run_loads_as_it_was(run):
    task = load_segmenter(run)
    assert task.classes == CLASSES
    assert not any(parameter.requires_grad for parameter in task.parameters())
    best = [record for record in run.history() if record["best"]][-1]
    metrics = evaluate(task, open_data(run_options(run)).val)
    assert {name: metrics[name] for name in ("miou", "boundary_f1")} == pytest.approx(
        {name: best[f"val_{name}"] for name in ("miou", "boundary_f1")}, abs=1e-4
    )


def test_the_folder_holds_the_network_alone_and_a_report(run):
    assert all(name.startswith("network.") for name in run.weights())
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    assert (config["recipe"], config["options"]["loss"]) == ("segment", "ce+dice")
    assert config["data"]["classes"] == list(CLASSES)
    assert (run.folder / "report.html").is_file()


def test_resuming_goes_on_to_the_bit(folder, tmp_path):
    options = {"epochs": 2, "batch": 14, "schedule": "constant", "augment": "flip"}
    whole = train(folder, tmp_path / "whole", **options)
    train(folder, tmp_path / "parts", steps=2, **options)
    parts = train(folder, tmp_path / "parts", resume=True, **options)
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name


def test_other_data_is_opened_in_the_same_size_and_plain(run, folder):
    data = open_data(run_options(run), str(folder))
    assert (data.shape, data.augmented) == ((3, 32, 32), False)


def test_one_stage_goes_on_from_another(folder, tmp_path):
    options = {"backbone": "timm:mobilenetv3_small_050", "pretrained": False, "size": 64, "batch": 4, "steps": 2}
    coarse = train(folder, tmp_path / "32", model="fcn-32s", **options)
    fine = train(folder, tmp_path / "16", model="fcn-16s", stage_from=str(coarse.folder), **{**options, "lr": 1e-9})
    assert load_segmenter(fine).network.module.stride == 16
    images = shapes(2, 64)[0]
    one, other = (load_segmenter(run).network(images) for run in (coarse, fine))
    torch.testing.assert_close(one, other, rtol=0.05, atol=0.02)
    for change, message in (
        ({"model": "fcn-8s"}, "trained 'fcn-32s'; fcn-8s goes on from fcn-16s"),
        ({"backbone": "efficientnet-lite0"}, "stands on 'timm:mobilenetv3_small_050'; give --backbone timm:mob"),
        ({"data": "scenes"}, "was trained on other classes than this data has"),
    ):
        with pytest.raises(InputError, match=message):
            train(folder, tmp_path / "x", **{"model": "fcn-16s", "stage_from": str(coarse.folder), **options, **change})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "unett"}, "unknown model 'unett' in --model: did you mean 'unet'"),
        ({"data": "nothing"}, "nothing"),
        ({"model": "fcn-8s", "backbone": "mlp"}, "model 'mlp' has no maps at several strides"),
        ({"batch": 500}, "--batch 500 is larger"),
        ({"augment": "mosaic"}, "mosaic"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train(folder, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_masks_of_one_class_are_nothing_to_learn_from(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / "one" / name).mkdir(parents=True)
        for number in range(12):
            color = (number * 9, 90, 80) if name == "images" else 0
            Image.new("RGB" if name == "images" else "L", (20, 20), color).save(
                tmp_path / "one" / name / f"{number}.png"
            )
    with pytest.raises(InputError, match="class"):
        train(tmp_path / "one", tmp_path / "run")


def test_what_does_not_describe_a_segmenter_is_refused(run):
    def changed(change):
        config = yaml.safe_load((run.folder / "config.yaml").read_text())
        change(config)
        return Run(run.folder, config)

    for change, message in (
        (lambda config: config.update(recipe="classify"), "is not one of 'train segment'"),
        (lambda config: config.pop("data"), "does not describe its data"),
        (lambda config: config["data"].pop("classes"), "does not describe its data"),
        (lambda config: config["options"].update(width=8), "do not fit its config"),
    ):
        with pytest.raises(InputError, match=message):
            load_segmenter(changed(change))
