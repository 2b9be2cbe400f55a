import pytest
import torch

from pendio.errors import InputError
from pendio.generation.manifold.dimension import dimension, local_pca, two_nn


def cube(count, dims, within, seed=0):
    """Points of a cube of so many dimensions, turned into a space of more."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, dims, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(within, within, generator=generator, dtype=torch.float64)).Q
    return points @ turn[:dims]


@pytest.mark.parametrize("dims", [1, 2, 4])
def test_the_dimension_of_a_turned_cube_is_found(dims):
    found = dimension(cube(3000, dims, 12))
    assert found.two_nn == pytest.approx(dims, abs=max(0.15, 4 * found.error))
    assert found.two_nn_fit == pytest.approx(dims, rel=0.08)
    assert (found.points, found.extrinsic) == (3000, 12)


@pytest.mark.parametrize("dims", [1, 3, 6])
def test_local_principal_components_count_the_dimensions_of_a_plane(dims):
    assert local_pca(cube(500, dims, 10), share=1.0) == dims


def test_a_swiss_roll_has_two_dimensions_in_three():
    angle, height = 4 * cube(4000, 2, 2, seed=1).T.abs()
    roll = torch.stack([(1 + angle) * (3 * angle).cos(), (1 + angle) * (3 * angle).sin(), height], 1)
    assert dimension(roll).two_nn == pytest.approx(2, abs=0.15)


def test_neither_scale_nor_place_nor_twins_change_it():
    points = cube(400, 2, 5)
    once = two_nn(points)[0]
    assert two_nn(1e-3 * points + 1e3)[0] == pytest.approx(once, rel=1e-4)
    twice = dimension(torch.cat([points, points[:50]]))
    assert twice.two_nn == pytest.approx(once)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(50, 3), "1 different points have no dimension"),
        (torch.tensor([[0.0], [1.0], [float("nan")]]), "not finite"),
        (torch.rand(10, 3), "neighbourhoods of 20 need 21 points, and there are 10"),
    ],
)
def test_what_has_no_dimension_is_refused(points, message):
    with pytest.raises(InputError, match=message):
        dimension(points)
