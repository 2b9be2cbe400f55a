import json

import pytest
import torch

from ...conftest import mistake, pixels


def shown(png):
    """Sides of the picture in tiles of 48 pixels with 2 between them."""
    height, width, _ = pixels(png).shape
    return (height - 2) // 50, (width - 2) // 50


def test_what_is_not_hidden_stays_in_the_picture(cli, digits_run, tmp_path):
    result = cli("inpaint", digits_run.folder, "--at", 0, "--at", 3, "--variants", 2, "--hide", "bottom", "--steps", 3,
                 "--repeats", 1, "--json")  # fmt: skip
    assert result.code == 0, result.err
    assert json.loads(result.out) == {"out": "inpaint.png", "images": 2, "variants": 2, "hidden": 0.5}
    picture = (tmp_path / "inpaint.png").read_bytes()
    assert shown(picture) == (4, 2)
    whole, hidden, first, second = (pixels(picture)[2 + 50 * row : 50 + 50 * row].float() for row in range(4))
    for other in (hidden, first, second):
        torch.testing.assert_close(other[:24], whole[:24])
    assert (hidden[24:, 2:50] - 127.5).abs().max() < 1
    assert (first[24:] != second[24:]).any()


def test_a_mask_says_what_is_hidden(cli, digits_run, tmp_path):
    from PIL import Image

    Image.new("L", (40, 40), 0).save(tmp_path / "none.png")
    image = Image.new("L", (40, 40), 0)
    image.paste(255, (0, 0, 10, 40))
    image.save(tmp_path / "quarter.png")
    where = ("inpaint", digits_run.folder, "coffee", "--steps", 2, "--repeats", 1, "--class", "7", "--mask")
    assert json.loads(cli(*where, "quarter.png", "--json").out)["hidden"] == 0.25
    assert "hides no pixel" in mistake(cli(*where, "none.png"))


def test_the_more_noise_the_less_alike(cli, digits_run, tmp_path):
    result = cli("resemble", digits_run.folder, "--at", 1, "--strength", 0.1, "--strength", 1, "--steps", 10, "--json")
    assert result.code == 0, result.err
    less, more = json.loads(result.out)["moved"]
    assert less < more
    assert shown((tmp_path / "resemble.png").read_bytes()) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give images to change, or --at"),
        (["coffee", "--at", "1"], "give images to change, or --at"),
        (["--at", "100000"], "--at must be 0 to"),
        (["--at", "0", "--hide", "corner"], "--hide must be left, right"),
        (["--at", "0", "--hide", "4,4,2,8"], "is no part of an image of 8×8"),
        (["--at", "0", "--class", "cat"], "the model knows no class 'cat'"),
        (["--at", "0", "--variants", "0"], "1 to 64 rows"),
        (["--at", "0", "--steps", "5000"], "--steps 5000"),
        (["nothing.png"], "nothing.png"),
    ],
)
def test_mistakes_cost_a_line(cli, digits_run, arguments, message):
    assert message in mistake(cli("inpaint", digits_run.folder, *arguments))


def test_points_are_no_images(cli, moons_run):
    assert "trained on images" in mistake(cli("resemble", moons_run.folder, "--at", 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eta", "0.5"], "--eta is for --sampler ddim"),
        (["--eta", "2", "--sampler", "ddim"], "--eta must be in [0, 1]"),
        (["--guidance", "nan"], "--guidance must be a number"),
    ],
)
def test_options_that_would_change_nothing_are_refused(cli, digits_run, arguments, message):
    assert message in mistake(cli("sample", digits_run.folder, "-n", 2, "--steps", 2, *arguments))
