import torch

from pendio.generation.gan.augmentation import augmented

ALL = ("color", "translation", "cutout")


def images(count=200, channels=3, size=16, seed=0):
    return 2 * torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed)) - 1


def changed(values, *changes, seed=0):
    return augmented(values, changes, torch.Generator().manual_seed(seed))


def test_nothing_is_changed_where_nothing_is_asked_for():
    values = images()
    assert augmented(values, ()) is values


def test_the_same_generator_gives_the_same_changes_and_each_image_its_own():
    values = images(1).expand(50, -1, -1, -1)
    first, again = changed(values, *ALL), changed(values, *ALL)
    assert torch.equal(first, again)
    assert len(first.flatten(1).unique(dim=0)) == 50


def test_translation_moves_by_an_eighth_at_most_and_lets_black_in():
    values = images()
    moved = changed(values, "translation")
    padded = torch.nn.functional.pad(values, (2, 2, 2, 2), value=-1.0)
    offsets = set()
    for number, image in enumerate(moved):
        matches = [
            (dy, dx) for dy in range(5) for dx in range(5)
            if torch.equal(padded[number, :, dy : dy + 16, dx : dx + 16], image)
        ]  # fmt: skip
        assert len(matches) == 1
        offsets.update(matches)
    assert offsets == {(dy, dx) for dy in range(5) for dx in range(5)}


def test_cutout_blackens_a_square_of_half_a_side_and_nothing_else():
    values = images() + 3
    cut = changed(values, "cutout")
    black = (cut == -1).all(1)
    assert torch.equal(cut.where(~black[:, None], values), values)
    heights, widths = black.any(2).sum(1), black.any(1).sum(1)
    assert torch.equal(heights * widths, black.sum((1, 2)))
    assert int(heights.max()) == int(widths.max()) == 8
    assert int(heights.min()) >= 4


def test_color_moves_brightness_and_scales_contrast_within_their_ranges():
    values = images(500, channels=1)
    colored = changed(values, "color")
    centered = values - values.mean((1, 2, 3), keepdim=True)
    factors = ((colored - colored.mean((1, 2, 3), keepdim=True)) * centered).sum((1, 2, 3)) / centered.square().sum(
        (1, 2, 3)
    )
    moves = colored.mean((1, 2, 3)) - values.mean((1, 2, 3))
    assert 0.5 <= float(factors.min()) < 0.52 < 1.48 < float(factors.max()) <= 1.5
    assert -0.5 <= float(moves.min()) < -0.48 < 0.48 < float(moves.max()) <= 0.5


def test_saturation_leaves_the_mean_of_channels_a_straight_line():
    grey = images(20, channels=1).expand(-1, 3, -1, -1)
    colored = changed(grey, "color")
    torch.testing.assert_close(colored[:, 0], colored[:, 2])
