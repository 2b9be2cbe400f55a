import pytest
import torch

from pendio.data.augment import AUGMENTATIONS, Augment, crop_boxes, parse_augment
from pendio.data.examples import Examples
from pendio.data.randomness import uniforms
from pendio.errors import InputError

COUNT = 64


def batch(dtype=torch.float32, channels=3, size=16, count=COUNT):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, size, size, generator=generator)
    images = (images * 255).to(torch.uint8) if dtype == torch.uint8 else images
    return Examples(images, torch.arange(count) % 4, torch.arange(count))


def test_names_are_parsed_and_unknown_ones_suggest_the_nearest():
    assert parse_augment("flip, crop") == ("flip", "crop")
    assert parse_augment("none") == parse_augment("") == ()
    with pytest.raises(InputError, match="unknown augmentation 'flop' in --augment: did you mean 'flip'"):
        parse_augment("crop,flop")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_type_shape_and_range_stay_and_images_change(name, dtype, channels):
    before = batch(dtype, channels)
    after = Augment((name,), 4)(before, 1, 2)
    assert (after.inputs.dtype, after.inputs.shape) == (dtype, before.inputs.shape)
    assert float(after.inputs.min()) >= 0
    assert float(after.inputs.max()) <= (255 if dtype == torch.uint8 else 1) + 1e-6
    changed = (after.inputs != before.inputs).flatten(1).any(1).float().mean()
    assert changed > 0.3
    again = Augment((name,), 4)(before, 1, 2)
    assert torch.equal(after.inputs, again.inputs)
    other = Augment((name,), 4)(before, 1, 3)
    assert not torch.equal(after.inputs, other.inputs)


def test_flip_mirrors_about_half_exactly():
    before = batch()
    after = Augment(("flip",), 4)(before, 0, 0).inputs
    mirrored = [bool(torch.equal(a, b.flip(-1))) for a, b in zip(after, before.inputs, strict=True)]
    same = [bool(torch.equal(a, b)) for a, b in zip(after, before.inputs, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 20 < sum(mirrored) < 44


def test_shift_moves_whole_pixels_within_an_eighth_in_all_directions():
    grid = torch.arange(16.0)
    images = torch.stack([grid[:, None].expand(16, 16), grid[None, :].expand(16, 16)])[None].expand(COUNT, -1, -1, -1)
    after = (
        Augment(("shift",), 4)(Examples(images / 16, torch.zeros(COUNT).long(), torch.arange(COUNT)), 0, 0).inputs * 16
    )
    moves = (torch.stack([after[:, 0, 8, 8], after[:, 1, 8, 8]], 1) - 8).round()
    assert {tuple(move) for move in moves.tolist()} >= {(-2, -2), (-2, 1), (0, 0), (-1, 2)}
    assert (moves.min(), moves.max()) == (-2, 2)
    dy, dx = moves[0].long().tolist()
    expected = (grid + dy).clamp(0, 15)
    assert torch.equal(after[0, 0, :, 0], expected)
    assert torch.equal(after[0, 1, 0], (grid + dx).clamp(0, 15))


def test_crops_lie_inside_with_the_promised_areas_and_ratios():
    draws = uniforms(0, 0, torch.arange(5000), 8)
    heights, widths = torch.full((5000,), 300.0).double(), torch.full((5000,), 400.0).double()
    top, left, height, width = crop_boxes(draws, heights, widths).T
    assert float(top.min()) >= 0
    assert float(left.min()) >= 0
    assert float((top + height).max()) <= 300 + 1e-9
    assert float((left + width).max()) <= 400 + 1e-9
    area = height * width / 120_000
    assert float(area.max()) <= 1
    assert 0.25 <= float(area.min()) < 0.27
    ratio = width / height
    unbound = (height < 300) & (width < 400)
    assert 0.74 < float(ratio[unbound].min()) < 0.77
    assert 1.3 < float(ratio[unbound].max()) < 1.34


def test_a_crop_shows_the_part_its_box_names():
    ramp = torch.linspace(0, 1, 64)
    images = torch.stack([ramp[:, None].expand(64, 64), ramp[None, :].expand(64, 64)])[None].expand(COUNT, -1, -1, -1)
    after = Augment(("crop",), 4)(Examples(images, torch.zeros(COUNT).long(), torch.arange(COUNT)), 0, 0).inputs
    boxes = crop_boxes(uniforms(0, 0, torch.arange(COUNT), 16), torch.full((COUNT,), 64.0), torch.full((COUNT,), 64.0))
    for image, (top, left, height, width) in zip(after, boxes.tolist(), strict=True):
        # The middle of the crop is the middle of the box, up to half a pixel.
        assert float(image[0, 31:33].mean()) * 63 + 0.5 == pytest.approx(top + height / 2, abs=0.6)
        assert float(image[1, :, 31:33].mean()) * 63 + 0.5 == pytest.approx(left + width / 2, abs=0.6)


def test_jitter_scales_brightness_and_leaves_grey_grey():
    grey = torch.full((COUNT, 3, 8, 8), 0.5)
    after = Augment(("jitter",), 4)(Examples(grey, torch.zeros(COUNT).long(), torch.arange(COUNT)), 0, 0).inputs
    assert float((after.amax((1, 2, 3)) - after.amin((1, 2, 3))).max()) < 1e-5, "contrast and saturation find nothing"
    levels = after[:, 0, 0, 0]
    assert 0.3 <= float(levels.min()) < 0.34
    assert 0.66 < float(levels.max()) <= 0.7


def source_share(mixed, mine, other):
    """Share of the pixels that come from ``mine`` where every pixel is ``mine`` or ``other``."""
    from_mine = (mixed == mine).all(0)
    assert ((mixed == other).all(0) | from_mine).all()
    return float(from_mine.double().mean())


def test_cutmix_weighs_labels_by_the_pixels_that_are_there():
    images = torch.linspace(0, 1, COUNT)[:, None, None, None].expand(-1, 3, 16, 16).contiguous()
    before = Examples(images, torch.arange(COUNT), torch.arange(COUNT))
    after = Augment(("cutmix",), COUNT)(before, 0, 0)
    torch.testing.assert_close(after.targets.sum(1), torch.ones(COUNT))
    shares = []
    for row in range(COUNT):
        share = source_share(after.inputs[row], images[row], images[row - 1])
        assert float(after.targets[row, row]) == pytest.approx(share, abs=1e-6)
        shares.append(share)
    assert min(shares) < 0.3
    assert max(shares) > 0.9


def test_mixup_blends_images_as_it_blends_labels():
    before = batch(count=2000, size=4)
    before = Examples(before.inputs, torch.arange(2000), before.indices)
    after = Augment(("mixup",), 2000)(before, 0, 0)
    share = after.targets[torch.arange(2000), torch.arange(2000)]
    expected = before.inputs * share[:, None, None, None] + before.inputs.roll(1, 0) * (1 - share)[:, None, None, None]
    torch.testing.assert_close(after.inputs, expected, rtol=0, atol=1e-5)
    # Beta(a, a) has mean 1/2 and variance 1/(4(2a + 1)).
    assert float(share.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(share.var()) == pytest.approx(1 / (4 * 1.4), rel=0.06)


def test_both_mixings_share_the_batch():
    before = batch(count=400)
    after = Augment(("mixup", "cutmix"), 4)(before, 0, 0)
    whole = (after.inputs == before.inputs) | (after.inputs == before.inputs.roll(1, 0))
    cut = whole.flatten(1).all(1)
    assert 0.35 < float(cut.float().mean()) < 0.7


def test_a_crop_is_brought_to_the_size_that_is_asked_for():
    images = torch.linspace(0, 1, 64)[None, None, :, None].expand(COUNT, 1, 64, 64)
    before = Examples(images, torch.zeros(COUNT).long(), torch.arange(COUNT))
    small, same = Augment(("crop",), 4, 32)(before, 0, 0).inputs, Augment(("crop",), 4)(before, 0, 0).inputs
    assert small.shape == (COUNT, 1, 32, 32)
    torch.testing.assert_close(small.mean((1, 2, 3)), same.mean((1, 2, 3)), rtol=0, atol=2e-3)
