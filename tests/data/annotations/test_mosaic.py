import torch

from pendio.data.annotations.joint import DRAWS, Place
from pendio.data.annotations.mosaic import is_mosaic, partners, quarters
from pendio.data.randomness import uniforms

MANY = uniforms(1, 0, torch.arange(1000), DRAWS).tolist()


def test_the_four_windows_tile_the_canvas_and_pictures_fill_them():
    for draws in MANY[:200]:
        covered = torch.zeros(100, 100, dtype=torch.long)
        for where, window in quarters(draws, 100, ("flip", "scale")):
            top, left, bottom, right = window
            covered[top:bottom, left:right] += 1
            assert where.top <= top
            assert where.left <= left
            assert where.top + where.side >= bottom
            assert where.left + where.side >= right
            assert where.side <= 150
        assert (covered == 1).all()


def test_the_centre_lies_in_the_middle_half_and_without_scale_nothing_is_enlarged():
    corners = torch.tensor([quarters(draws, 100, ())[3][1][:2] for draws in MANY]).float()
    assert corners.min() >= 25
    assert corners.max() <= 75
    assert (corners.mean(0) - 50).abs().max() < 2
    places = [where for draws in MANY for where, _ in quarters(draws, 100, ())]
    assert max(where.side for where in places) <= 100
    assert not any(where.mirrored for where in places)
    assert isinstance(places[0], Place)


def test_half_of_the_samples_are_mosaics_of_any_partners():
    assert abs(sum(map(is_mosaic, MANY)) - 500) < 60
    found = torch.tensor([partners(draws, 7) for draws in MANY])
    assert found.unique().tolist() == list(range(7))
    assert (torch.bincount(found.flatten()) / 3000 - 1 / 7).abs().max() < 0.03
