import io

import numpy as np
import torch
from PIL import Image

from pendio.pictures.masks import draw_masks, mask_png, overlay, painted
from pendio.pictures.palette import class_color

from ..conftest import pixels

CLASSES = ("background", "cat", "dog")


def mask():
    made = torch.zeros(6, 8, dtype=torch.uint8)
    made[1:5, 1:4] = 1
    made[2:4, 5:7] = 2
    made[0, 7] = 255
    return made


def test_a_mask_file_holds_the_class_numbers_and_shows_their_colours():
    image = Image.open(io.BytesIO(mask_png(mask(), CLASSES)))
    assert image.mode == "P"
    assert (np.array(image) == mask().numpy()).all()
    shown = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    assert torch.equal(shown, painted(mask(), CLASSES))


def test_a_class_has_its_colour_and_the_background_none():
    shown = painted(mask(), CLASSES)
    assert tuple(shown[:, 2, 2].tolist()) == class_color(0)
    assert tuple(shown[:, 2, 5].tolist()) == class_color(1)
    assert shown[:, 5, 5].tolist() == [0, 0, 0]
    # Without a background every class has a colour, the first too.
    assert tuple(painted(mask(), ("sky", "cat", "dog"))[:, 5, 5].tolist()) == class_color(0)


def test_an_overlay_tints_what_has_a_class_and_leaves_the_rest():
    image = torch.full((3, 6, 8), 100, dtype=torch.uint8)
    made = overlay(image, mask(), CLASSES, strength=0.5)
    color = torch.tensor(class_color(0)).float()
    assert made.dtype == torch.uint8
    assert torch.equal(made[:, 1, 1], color.to(torch.uint8)), "outlined in the full colour"
    inside = overlay(image, torch.ones(9, 9, dtype=torch.uint8)[:6, :8], CLASSES)
    assert torch.equal(inside[:, 3, 3], ((100 + color) / 2).round().to(torch.uint8))
    for row, column in ((0, 0), (5, 7), (0, 7)):
        assert made[:, row, column].tolist() == [100] * 3
    assert torch.equal(overlay(image / 255, mask(), CLASSES), overlay(image, mask(), CLASSES))
    assert overlay(image[:1], mask(), CLASSES).shape == (3, 6, 8)


def test_a_picture_of_truths_and_predictions_shows_both_and_names_the_classes():
    images = torch.zeros(3, 3, 6, 8)
    right = draw_masks(images, [mask()] * 3, [mask()] * 3, ["a: 1.00\nb", "b", "c$_x"], CLASSES)
    wrong = draw_masks(images, [mask()] * 3, [torch.zeros_like(mask())] * 3, ["a: 1.00\nb", "b", "c$_x"], CLASSES)
    alone = draw_masks(images, [mask()] * 3, None, ["a", "b", "c"], CLASSES)
    assert right != wrong
    found = pixels(alone)
    for number in (0, 1):
        assert (found == torch.tensor(class_color(number), dtype=torch.uint8)).all(2).sum() > 100
