"""The commands that move an input, as a user gives them."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import pendio
from pendio.data.images import read_image

from .conftest import mistake


@pytest.fixture
def grey(tmp_path):
    """A digit as a file, and a mask of its upper half."""
    image = (next(pendio.data.open("digits").val.batches(1)).inputs[0, 0] * 255).round().byte()
    Image.fromarray(image.numpy()).save(tmp_path / "digit.png")
    mask = torch.zeros(8, 8, dtype=torch.uint8)
    mask[:4] = 255
    Image.fromarray(mask.numpy()).save(tmp_path / "mask.png")
    return "digit.png"


def test_a_class_is_visualised_saved_and_recognised(cli, digits_run):
    result = cli("visualize", digits_run.folder, "class:7", "--steps", 60, "--out", "seen", "--json")
    (row,) = json.loads(result.out)
    assert row["predicted"] == "7"
    assert row["probability"] > 0.9
    assert row["unit"] == "7"
    assert read_image(row["file"], grey=True).shape == (1, 8, 8)
    assert {"after_saving", "held_out_views", "percentile", "highest_real"} <= set(row)
    assert sorted(path.name for path in Path("seen").iterdir()) == ["7.png", "beside.png", "sheet.png"]
    (answer,) = json.loads(cli("predict", digits_run.folder, row["file"], "--json").out)
    assert answer["class"] == "7"


def test_a_layers_channels_make_a_grid_and_variants_differ(cli, digits_run):
    result = cli("visualize", digits_run.folder, "body.stages.0.0:0-4", "--steps", 8, "--out", "grid")
    assert result.code == 0
    assert len(list(Path("grid").glob("body*.png"))) == 5
    assert "body.stages.0.0:4" in result.out
    cli("visualize", digits_run.folder, "class:3", "--steps", 8, "--variants", 2, "--smooth", 0.1, "--out", "two")
    first, second = (read_image(f"two/3-{number}.png", grey=True) for number in (1, 2))
    assert not torch.equal(first, second)


def test_a_masked_visualisation_changes_only_its_region(cli, digits_run, grey):
    cli("visualize", digits_run.folder, "class:8", "--base", grey, "--mask", "mask.png", "--steps", 10, "--out", "m")
    made, base = read_image("m/8.png", grey=True), read_image(grey, grey=True)
    assert torch.equal(made[:, 4:], base[:, 4:])
    assert not torch.equal(made[:, :4], base[:, :4])


def test_an_image_is_rebuilt_layer_by_layer(cli, digits_run, grey):
    result = cli("invert", digits_run.folder, grey, "--steps", 40, "--json")
    rows = json.loads(result.out)
    assert [Path(row["file"]).is_file() for row in rows] == [True] * len(rows)
    assert rows[0]["correlation"] > 0.9
    assert Path("invert/strip.png").is_file()
    assert "correlation" in cli("invert", digits_run.folder, grey, "--steps", 3, "--layer", "body.stages.1").out


def test_a_dream_has_the_images_size_and_may_move(cli):
    result = cli(
        "dream", "efficientnet-lite0", "coffee", "blocks.1", "--size", 64, "--octaves", 1, "--steps", 3, "--json"
    )
    found = json.loads(result.out)
    assert found["after"] > found["before"]
    assert read_image("dream.png").shape == (3, 43, 64)
    moving = cli("dream", "efficientnet-lite0", "coffee", "blocks.1", "--size", 48, "--octaves", 1, "--steps", 1,
                 "--frames", 3, "--out", "d.gif")  # fmt: skip
    assert "3 frames" in moving.out
    with Image.open("d.gif") as image:
        assert (image.n_frames, image.size) == (3, (48, 32))


def test_a_painting_says_how_near_it_came(cli):
    result = cli(
        "style", "coffee", "brick", "grass", "--mix", 1, 3, "--size", 64, "--steps", 4, "--out", "p.png", "--json"
    )
    found = json.loads(result.out)
    assert found["loss"] < found["loss_of_noise"]
    assert read_image("p.png").shape == (3, 43, 64)


def test_digits_are_attacked_and_what_came_of_it_is_told(cli, digits_run):
    result = cli("attack", digits_run.folder, "--data", "digits", "--count", 6, "--epsilon", "64/255", "--json")
    found = json.loads(result.out)
    assert found["reached"] == 1
    assert found["within_budget"] == 1
    assert len(found["images"]) == 6
    row = found["images"][0]
    assert row["predicted"] != row["class"]
    assert row["linf"] <= 64 / 255 + 1e-6
    (answer,) = json.loads(cli("predict", digits_run.folder, row["file"], "--json").out)
    assert answer["class"] == row["predicted"], "the saved file fools as well"
    table = cli("attack", digits_run.folder, "--data", "digits", "--count", 2, "--method", "deepfool", "--out", "b")
    assert "2 images reached their goal" in table.out


def test_one_image_is_driven_to_a_class(cli, digits_run, grey):
    for method, options in (
        ("carlini", ("--confidence", 1)),
        ("pixel", ("--pixels", 12)),
        ("pgd", ("--norm", "l2", "--epsilon", 3)),
    ):
        now = json.loads(cli("predict", digits_run.folder, grey, "--json").out)[0]["class"]
        target = str((int(now) + 1) % 10)
        result = cli("attack", digits_run.folder, grey, "--target", target, "--method", method, *options, "--json")
        (row,) = json.loads(result.out)["images"]
        assert (row["class"], row["predicted"], row["reached"]) == (now, target, True), method


def test_accuracy_falls_along_the_curve(cli, digits_run):
    rows = json.loads(
        cli("attack", digits_run.folder, "--data", "digits", "--count", 20, "--curve", "0,16/255,0.5", "--json").out
    )
    assert [row["epsilon"] for row in rows] == [0, pytest.approx(16 / 255), 0.5]
    assert rows[0]["accuracy"] > 0.8
    assert rows[0]["accuracy"] >= rows[1]["accuracy"] >= rows[2]["accuracy"] == 0
    assert Path("attack/curve.png").is_file()


def test_a_network_is_fooled_from_nothing(cli, digits_run):
    found = json.loads(cli("fool", digits_run.folder, "--budget", 2000, "--json").out)
    assert found["queries"] <= 2000
    assert found["coverage"] > 0.5
    assert Path("fool/fool.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("visualize", "RUN", "class:ten"), "there is no class 'ten'"),
        (("visualize", "RUN", "body.stage.0"), "did you mean 'body.stages.0'?"),
        (("visualize", "RUN", "class:1", "--steps", 0), "--steps and --variants must be at least 1"),
        (("visualize", "RUN", "class:all", "--variants", 2), "--variants 2 is for one unit"),
        (("visualize", "RUN", "class:1", "--mask", "mask.png"), "--base and --mask go together"),
        (("visualize", "RUN", "class:1", "--data", "moons"), "has no images of 1 channels"),
        (("visualize", "efficientnet-lite0", "blocks.6", "--size", 16), "smaller than the stride of layer 'blocks.6', 32"),
        (("invert", "RUN", "photos"), "'photos' holds 17 images"),
        (("invert", "RUN", "digit.png", "--layer", "nothing"), "no layer 'nothing'"),
        (("dream", "efficientnet-lite0", "coffee", "--out", "d.txt"), "must end in .png, .gif or .mp4"),
        (("dream", "efficientnet-lite0", "coffee", "blocks.1:all"), "a dream follows one"),
        (("dream", "efficientnet-lite0", "coffee", "--octaves", 0), "--octaves and --steps must be at least 1"),
        (("style", "coffee"), "give one style image or more"),
        (("style", "coffee", "brick", "--mix", 1, 2), "--mix has 2 values for 1 styles"),
        (("style", "coffee", "brick", "--size", 2), "--size must be 8 to 8192 pixels, got 2"),
        (("attack", "RUN"), "give images to attack, or --data"),
        (("attack", "RUN", "digit.png", "--epsilon=-1/255"), "--epsilon must not be negative"),
        (("attack", "RUN", "digit.png", "--epsilon", "8/0"), "--epsilon must be a number or a fraction such as 8/255"),
        (("attack", "RUN", "digit.png", "--method", "pdg"), "unknown attack 'pdg': did you mean 'pgd'?"),
        (("attack", "RUN", "digit.png", "--pixels", 3), "--pixels is not for pgd; it is for pixel"),
        (("attack", "RUN", "digit.png", "--curve", "0.1"), "--curve needs the true classes of --data"),
        (("attack", "RUN", "--data", "textures"), "has classes the network does not know: brick"),
        (("fool", "RUN", "--budget", 0), "--budget"),
    ],
)  # fmt: skip
def test_a_mistake_costs_one_line(cli, digits_run, grey, arguments, message):
    given = [digits_run.folder if argument == "RUN" else argument for argument in arguments]
    assert message in mistake(cli(*given))


def test_a_target_that_is_there_already_is_refused(cli, digits_run, grey):
    now = json.loads(cli("predict", digits_run.folder, grey, "--json").out)[0]["class"]
    assert "is taken for it already" in mistake(cli("attack", digits_run.folder, grey, "--target", now))


def test_a_network_of_points_cannot_be_looked_into(cli):
    cli("train", "classify", "--data", "moons", "--model", "mlp", "--epochs", 1, "--out", "moons")
    assert "looking into it needs images" in mistake(cli("visualize", "moons", "class:0"))
    assert "needs images" in mistake(cli("attack", "moons", "coffee"))


def test_what_ends_in_a_softmax_is_noticed():
    from pendio.ascent.audit import outputs
    from pendio.nn.network import Network

    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Softmax(1))
    assert outputs(Network(module, (1, 2, 2), [0.0], [1.0], "ab"), torch.rand(3, 1, 2, 2)) == "probabilities"
