import torch

from pendio.pictures.regions import draw_regions

from ..conftest import pixels


def test_the_plane_is_coloured_where_the_classifier_says():
    points = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])

    def by_first_coordinate(inputs):
        right = (inputs[:, 0] > 0).float()
        return torch.stack([1 - right, right], 1)

    picture = pixels(draw_regions(by_first_coordinate, points, torch.tensor([0, 1, 0, 1]), ["left", "right"]))
    height, width = picture.shape[:2]
    left, right = picture[height // 2, width // 4].int(), picture[height // 2, 3 * width // 4].int()
    assert left[2] > left[0] + 30, "the first class is blue"
    assert right[0] > right[2] + 30, "the second is orange"
