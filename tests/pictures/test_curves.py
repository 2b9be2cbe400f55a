import torch

from pendio.pictures.curves import draw_curves
from pendio.pictures.figure import BLUE, ORANGE

from ..conftest import pixels


def columns_of(picture, color):
    """Which columns of the picture hold a colour."""
    rgb = torch.tensor([int(color[at : at + 2], 16) for at in (1, 3, 5)])
    return ((picture.int() - rgb).abs().amax(2) < 30).any(0).nonzero()[:, 0]


def test_losses_stand_left_and_the_metric_right():
    history = [
        {"epoch": n, "loss": 1 / n, "val_loss": 1.1 / n, "val_accuracy": 1 - 1 / n, "best": n == 3} for n in range(1, 6)
    ]
    picture = pixels(draw_curves(history, "accuracy"))
    middle = picture.shape[1] // 2
    assert columns_of(picture, BLUE).max() < middle
    assert columns_of(picture, ORANGE).max() > middle > columns_of(picture, ORANGE).min()


def test_a_single_evaluation_is_a_point():
    history = [{"epoch": 1, "loss": 0.5, "val_loss": 0.6, "val_accuracy": 0.7, "best": True}]
    assert len(columns_of(pixels(draw_curves(history, "accuracy")), ORANGE)) > 3
