import pytest
import torch

import pendio.data
from pendio.data.points import POINTS


def everything(name, seed=0):
    data = pendio.data.open(name, seed=seed)
    splits = (data.train, data.val, data.test)
    return torch.cat([s.inputs for s in splits]), torch.cat([s.targets for s in splits]), data


@pytest.mark.parametrize("name", POINTS)
def test_sets_are_1500_balanced_points_of_their_seed(name):
    points, classes, data = everything(name)
    assert points.shape == (1500, 2)
    assert data.kind == "points"
    counts = torch.bincount(classes)
    assert float(counts.max() - counts.min()) <= 60
    assert torch.equal(points, everything(name)[0])
    assert not torch.equal(points, everything(name, seed=1)[0])


def test_rings_have_their_radii():
    points, classes, _ = everything("rings")
    for number in range(3):
        radii = points[classes == number].norm(dim=1)
        assert float(radii.mean()) == pytest.approx(0.5 * (number + 1), abs=0.02)
        assert float(radii.std()) == pytest.approx(0.06, abs=0.01)


def test_the_board_alternates():
    points, classes, _ = everything("checkerboard")
    assert torch.equal(points.floor().long().sum(1) % 2, classes)
    assert float(points.abs().max()) <= 2


def test_gaussians_stand_on_a_circle():
    points, classes, _ = everything("gaussians")
    means = torch.stack([points[classes == number].mean(0) for number in range(8)])
    assert means.norm(dim=1).tolist() == pytest.approx([2] * 8, abs=0.06)


def test_moons_lie_on_their_arcs():
    points, classes, _ = everything("moons")
    upper = points[classes == 0].norm(dim=1)
    lower = (points[classes == 1] - torch.tensor([1.0, 0.5])).norm(dim=1)
    for radii in (upper, lower):
        assert float(radii.mean()) == pytest.approx(1, abs=0.02)
    assert float(points[classes == 0, 1].mean()) > float(points[classes == 1, 1].mean())


def test_spiral_arms_are_each_others_half_turn():
    points, classes, _ = everything("spirals")
    turned = torch.where(classes[:, None] == 1, -points, points)
    radius, angle = turned.norm(dim=1), torch.atan2(turned[:, 1], turned[:, 0])
    # On the arm the angle is 3π·radius/2, up to whole turns and noise.
    gap = torch.remainder(angle - 3 * torch.pi * radius / 2 + torch.pi, 2 * torch.pi) - torch.pi
    assert float(gap[radius > 0.8].abs().mean()) < 0.25
