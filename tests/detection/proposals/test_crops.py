import pytest
import torch

from pendio.detection.proposals.crops import crop, moved, offsets

MARGIN = 227 / (227 - 32)


def ramp(height, width):
    """An image whose first channel is the x of a pixel's centre and the second its y."""
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([columns, rows, torch.ones_like(rows)])[None]


def test_a_crop_shows_the_region_and_a_margin_of_16_in_227():
    (found,) = crop(ramp(100, 100), torch.tensor([[[30.0, 40, 60, 80]]]), 32)
    width, height = 30 * MARGIN, 40 * MARGIN
    centers = (torch.arange(32) + 0.5) / 32
    torch.testing.assert_close(found[0, 7], 45 + width * (centers - 0.5), rtol=0, atol=1e-3)
    torch.testing.assert_close(found[1, :, 7], 60 + height * (centers - 0.5), rtol=0, atol=1e-3)
    assert found[1, 0, 0] < 40
    assert found[1, -1, 0] > 80


def test_outside_the_image_is_the_mean_colour():
    (found,) = crop(torch.ones(1, 3, 20, 20), torch.tensor([[[-20.0, 0, 20, 20]]]), 16)
    assert (found[:, :, 0] == 0).all()
    assert (found[:, 8, 12] == 1).all()


def test_large_regions_are_averaged_and_not_sampled():
    stripes = torch.zeros(1, 3, 64, 64)
    stripes[..., ::2] = 1
    (found,) = crop(stripes, torch.tensor([[[4.0, 4, 60, 60]]]), 8)
    assert (found - 0.5).abs().max() < 0.15


def test_regions_are_cut_from_their_own_image_in_order():
    images = torch.stack([torch.full((3, 8, 8), value) for value in (1.0, 2.0)])
    found = crop(images, torch.tensor([[1.0, 1, 6, 6]]).expand(2, 3, 4), 4)
    assert found[:, 0, 2, 2].tolist() == [1, 1, 1, 2, 2, 2]


def test_a_region_without_area_is_no_error():
    assert (crop(torch.ones(1, 3, 8, 8), torch.zeros(1, 1, 4), 4).isfinite()).all()


def test_offsets_as_computed_by_hand():
    found = offsets(torch.tensor([10.0, 10, 30, 20]), torch.tensor([12.0, 10, 52, 30]))
    # Centres move by 12/20 and 5/10; sides double.
    assert found.tolist() == pytest.approx([6, 5, 3.4657, 3.4657], rel=1e-4)


def test_moving_by_the_offsets_leads_to_the_object():
    corners = torch.rand(2, 50, 2, generator=torch.Generator().manual_seed(0)) * 90
    boxes = torch.cat([corners[0], corners[0] + corners[1] + 2], 1)
    torch.testing.assert_close(moved(boxes.flip(0), offsets(boxes.flip(0), boxes)), boxes, rtol=1e-4, atol=1e-3)
    assert torch.equal(moved(boxes, torch.zeros(50, 4)).round(decimals=3), boxes.round(decimals=3))


def test_wild_answers_stay_finite():
    assert moved(torch.tensor([0.0, 0, 10, 10]), torch.full((4,), 1e6)).isfinite().all()
