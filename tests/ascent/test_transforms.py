import torch

from pendio.ascent.transforms import Wobble

ROWS = torch.arange(3)


def test_nothing_moves_without_amounts():
    images = torch.rand(3, 2, 9, 12)
    assert torch.allclose(Wobble(0, 0, 0)(images, 0, 0, ROWS), images, atol=1e-5)


def test_views_depend_on_seed_step_and_row_alone():
    images = torch.rand(1, 1, 16, 16).expand(3, -1, -1, -1)
    wobble = Wobble.for_side(16)
    moved = wobble(images, 4, 2, ROWS)
    assert torch.equal(moved[2:], wobble(images[2:], 4, 2, ROWS[2:]))
    assert not torch.allclose(moved[0], moved[1], atol=1e-3)
    assert not torch.allclose(moved, wobble(images, 4, 3, ROWS), atol=1e-3)
    assert moved.min() >= images.min() - 1e-6
    assert moved.max() <= images.max() + 1e-6


def dot(images):
    """Where the brightness of each image is: (y, x)."""
    height, width = images.shape[2:]
    weights = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    return (weights * torch.arange(height)[:, None]).sum((1, 2)), (weights * torch.arange(width)).sum((1, 2))


def test_jitter_shifts_by_pixels_at_most():
    images = torch.zeros(200, 1, 41, 31)
    images[:, :, 18:23, 13:18] = 1
    y, x = dot(Wobble(5, 0, 0)(images, 0, 0, torch.arange(200)))
    for place, middle in ((y, 20), (x, 15)):
        assert 4 < (place - middle).abs().max() <= 5.05
        assert (place - middle).abs().mean() > 2


def test_turning_an_oblong_image_keeps_its_proportions():
    images = torch.zeros(200, 1, 61, 31)
    images[:, :, 9:12, 14:17] = 1  # 20 above the middle
    y, x = dot(Wobble(0, 0, 30)(images, 0, 0, torch.arange(200)))
    radius = ((y - 30) ** 2 + (x - 15) ** 2).sqrt()
    assert torch.allclose(radius, torch.full_like(radius, 20.0), atol=0.3)
    assert (x - 15).abs().max() > 8


def test_scaling_is_as_likely_up_as_down():
    images = torch.zeros(400, 1, 41, 41)
    images[:, :, 16:25, 16:25] = 1
    area = Wobble(0, 0.2, 0)(images, 0, 0, torch.arange(400)).sum((1, 2, 3)) / 81
    assert 1.3 < area.max() < 1.46
    assert 0.66 < area.min() < 0.8  # 1/1.44, and what a grid of pixels makes of it
    assert abs(float(area.log().mean())) < 0.03
