import torch

from pendio.pictures.confusion import draw_confusion

from ..conftest import pixels


def darkness(picture):
    """Mean darkness of the four quarters of the largest coloured square: true classes down, predicted ones across."""
    blue = (picture[..., 2].int() - picture[..., 0].int()) > 60
    rows, columns = blue.any(1).nonzero()[:, 0], blue.any(0).nonzero()[:, 0]
    square = blue[rows.min() : rows.max(), columns.min() : columns.max()].float()
    middle_row, middle_column = square.shape[0] // 2, square.shape[1] // 2
    return [[float(part.mean()) for part in half.tensor_split([middle_column], 1)]
            for half in square.tensor_split([middle_row])]  # fmt: skip


def test_rows_are_the_true_classes():
    quarters = darkness(pixels(draw_confusion(torch.tensor([[5, 5], [0, 9]]), ["a", "b"])))
    assert quarters[1][0] < 0.1 < quarters[0][0]
    assert quarters[0][1] > 0.1
    assert quarters[1][1] > 0.5


def test_many_classes_make_a_picture_of_bounded_size():
    picture = pixels(draw_confusion(torch.eye(300, dtype=torch.long), [str(n) for n in range(300)]))
    assert max(picture.shape) <= 1300
