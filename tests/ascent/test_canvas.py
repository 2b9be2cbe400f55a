import pytest
import torch

from pendio.ascent.audit import real_photos
from pendio.ascent.canvas import Masked, Palette, Pixels, Spectrum, noise

ROWS = torch.arange(4)


def test_noise_depends_on_seed_step_and_row_alone():
    state = torch.get_rng_state()
    numbers = noise((3, 5), 1, torch.arange(1000))
    assert torch.equal(numbers[7:9], noise((3, 5), 1, torch.tensor([7, 8])))
    assert not torch.equal(numbers[:4], noise((3, 5), 2, ROWS))
    assert not torch.equal(numbers[:4], noise((3, 5), 1, ROWS, step=1))
    assert float(numbers.mean()) == pytest.approx(0, abs=0.03)
    assert float(numbers.std()) == pytest.approx(1, abs=0.02)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 9), (2, 1, 5), (5, 16, 12)])
def test_a_spectrum_gives_images_of_any_channels_and_size(shape):
    palette = Palette(0.2 * torch.eye(shape[0]), torch.linspace(0.2, 0.8, shape[0]), 1.0)
    canvas = Spectrum(shape, palette)
    start = canvas.start(0, ROWS)
    images = canvas.images(start, ROWS)
    assert images.shape == (4, *shape)
    assert 0 < images.min() < images.max() < 1
    still = canvas.images(torch.zeros_like(start), ROWS)
    assert torch.allclose(still[0].mean((1, 2)), palette.mean, atol=1e-6), "no waves: the palette's mean colour"


def test_waves_go_where_their_frequency_says():
    canvas = Spectrum((1, 16, 16), Palette(torch.ones(1, 1), torch.tensor([0.5]), 0.0))
    points = torch.zeros_like(canvas.start(0, ROWS[:1]))
    points[0, 0, 2, 3, 0] = 1.0
    wave = torch.logit(canvas.images(points, ROWS[:1]))[0, 0]
    spectrum = torch.fft.rfft2(wave).abs()
    assert spectrum.argmax() == 2 * 9 + 3
    assert (spectrum > 0.01 * spectrum.max()).sum() == 1


def test_a_palette_measures_colours_and_decay():
    generator = torch.Generator().manual_seed(0)
    grey = torch.rand((20, 1, 16, 16), generator=generator).expand(-1, 3, -1, -1)
    white = Palette.of(grey)
    assert white.decay == pytest.approx(0, abs=0.1), "independent pixels have a flat spectrum"
    covariance = white.basis @ white.basis.T
    assert torch.allclose(covariance, torch.full((3, 3), 1 / 12), atol=5e-3), "all channels go together"
    photos = Palette.of(real_photos(64))
    assert 0.8 < photos.decay < 1.8, "photographs fade as one over frequency or faster"
    spread = torch.linalg.eigvalsh(photos.basis @ photos.basis.T)
    assert spread[2] > 5 * spread[1] > 5 * spread[0], "brightness varies most"


@pytest.mark.parametrize("images", [torch.full((3, 1, 8, 8), 0.3), torch.rand(1, 2, 1, 1)])
def test_a_palette_of_plain_images_is_usable(images):
    palette = Palette.of(images)
    canvas = Spectrum(tuple(images.shape[1:]), palette)
    assert torch.isfinite(canvas.images(canvas.start(0, ROWS), ROWS)).all()


def test_a_masked_canvas_shows_only_in_its_region():
    base, mask = torch.rand(4, 2, 6, 6), torch.zeros(1, 1, 6, 6)
    mask[..., 2:4, :] = 1
    canvas = Masked(Pixels(), base, mask)
    points = torch.rand(2, 2, 6, 6)
    images = canvas.images(points, torch.tensor([1, 3]))
    assert torch.allclose(images[:, :, 2:4], points[:, :, 2:4])
    assert torch.equal(images[:, :, :2], base[[1, 3], :, :2])
