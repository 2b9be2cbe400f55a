import torch

from pendio.pictures.palette import class_color
from pendio.pictures.precision import draw_errors, draw_precision

from ..conftest import pixels


def strokes(picture, color):
    """Pixels of about this colour."""
    return int(((picture.int() - torch.tensor(color)).abs().sum(-1) < 40).sum())


def test_each_class_has_a_curve_in_its_colour_and_absent_ones_none():
    curves = torch.stack([torch.linspace(1, 0.5, 101), torch.full((101,), -1.0), torch.linspace(0.9, 0.1, 101)])
    picture = pixels(draw_precision(curves, ["a", "b", "c"]))
    assert strokes(picture, class_color(0)) > 100
    assert strokes(picture, class_color(2)) > 100
    assert strokes(picture, class_color(1)) < 20
    assert strokes(picture, (0, 0, 0)) > 500, "the mean is drawn in black"


def test_without_any_object_there_is_an_empty_picture():
    empty = pixels(draw_precision(torch.full((2, 101), -1.0), ["a", "b"]))
    assert strokes(empty, class_color(0)) == 0


def test_many_classes_are_grey():
    picture = pixels(draw_precision(torch.rand(40, 101), [str(number) for number in range(40)]))
    assert strokes(picture, class_color(1)) == 0


def test_bars_are_as_long_as_the_gains():
    def blue(gains):
        return strokes(pixels(draw_errors(["class", "missed"], gains, [3, 4])), class_color(0))

    assert blue([0.2, 0.2]) > 1.8 * blue([0.2, 0.0]) > 0
    assert blue([0.0, 0.0]) == 0


def test_mending_may_harm():
    draw_errors(["class"], [-0.1], [2])
