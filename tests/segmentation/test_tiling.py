import warnings

import numpy as np
import pytest
import torch
from torch import nn

from pendio.errors import InputError
from pendio.segmentation.networks.unet import UNet, margin
from pendio.segmentation.tiling import Extent, measured, mirrored, tiled, tiles


def network(padded, depth=2, dtype=torch.float64):
    torch.manual_seed(0)
    made = UNet(2, 3, width=3, depth=depth, padded=padded, norm="batch" if padded else "none").to(dtype)
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.bias)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return made.eval()


def whole(made, image):
    """The logits of a whole image at once."""
    height, width = image.shape[1:]
    with torch.no_grad():
        return made(image[None] if made.padded else mirrored(image[None], made.extent))[0, :, :height, :width]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("depth", "height", "width", "tile"),
    [(2, 90, 121, 60), (2, 64, 64, 52), (2, 7, 130, 61), (2, 1, 1, 60), (1, 41, 50, 26), (3, 150, 131, 120),
     (2, 130, 3, 1000), (4, 230, 90, 260)],
)  # fmt: skip
def test_tiles_give_what_the_whole_image_gives(padded, depth, height, width, tile):
    made = network(padded, depth)
    image = torch.rand(2, height, width, dtype=torch.float64)
    expected = whole(made, image)
    torch.testing.assert_close(tiled(made, image, tile, made.extent), expected, rtol=0, atol=1e-12)
    assert float(expected.std()) > 0.01 or expected.numel() == 3


@pytest.mark.parametrize("padded", [False, True])
def test_bit_for_bit_where_convolutions_add_in_one_order(padded):
    made, image = network(padded, dtype=torch.float32), torch.rand(2, 90, 75)
    with warnings.catch_warnings(action="ignore"), torch.backends.mkldnn.flags(enabled=False):
        assert torch.equal(tiled(made, image, 60, made.extent), whole(made, image))


def test_a_seam_shows_where_less_is_thrown_away():
    made, image = network(True), torch.rand(2, 90, 121, dtype=torch.float64)
    less = Extent(made.extent.stride, reach=made.extent.reach - made.extent.stride - 2)
    assert not torch.allclose(tiled(made, image, 60, less), whole(made, image), rtol=0, atol=1e-9)


def test_the_whole_unpadded_output_is_that_of_the_image_mirrored_by_hand():
    made, image = network(False), torch.rand(1, 2, 64, 68, dtype=torch.float64)
    lost = margin(2)
    by_hand = nn.functional.pad(image, (lost, lost, lost, lost), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(tiled(made, image, 60, made.extent), made(by_hand)[0], rtol=0, atol=1e-12)


class Watched:
    """An image that notes how much of it was asked for at once."""

    def __init__(self, values):
        self.values, self.shape, self.largest = values, values.shape, 0

    def __getitem__(self, key):
        part = self.values[key]
        self.largest = max(self.largest, part.shape[1], part.shape[2])
        return part


@pytest.mark.parametrize("padded", [False, True])
def test_no_more_than_a_tile_is_read_or_computed_at_once(padded):
    made = network(padded)
    image = Watched(torch.rand(2, 200, 180, dtype=torch.float64))
    given = []
    made.register_forward_pre_hook(lambda module, inputs: given.append(max(inputs[0].shape[2:])))
    parts = list(tiles(made, image, 70, made.extent))
    assert image.largest <= 70
    assert max(given) <= 70
    assert len(given) == len(parts)
    assert sum(part.logits[0].numel() for part in parts) == 200 * 180


def test_files_larger_than_memory_are_read_and_written_in_place(tmp_path):
    made = network(True, dtype=torch.float32)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 70, 90), dtype=np.uint8)
    pixels.tofile(tmp_path / "image")
    image = np.memmap(tmp_path / "image", np.uint8, "r", shape=(2, 70, 90))
    out = np.memmap(tmp_path / "logits", np.float32, "w+", shape=(3, 70, 90))
    tiled(made, image, 60, made.extent, prepare=lambda values: values.float() / 255, out=out)
    out.flush()
    written = torch.from_numpy(np.fromfile(tmp_path / "logits", np.float32)).view(3, 70, 90)
    torch.testing.assert_close(written, whole(made, torch.from_numpy(pixels).float() / 255), rtol=1e-4, atol=1e-4)


def test_a_batch_of_one_is_an_image():
    made, image = network(True), torch.rand(1, 2, 40, 40, dtype=torch.float64)
    assert torch.equal(tiled(made, image, 60, made.extent), tiled(made, image[0], 60, made.extent))


@pytest.mark.parametrize("padded", [False, True])
def test_a_tile_that_is_too_small_is_refused_with_the_least_that_serves(padded):
    made, image = network(padded), torch.rand(2, 61, 40, dtype=torch.float64)
    with pytest.raises(InputError, match=r"tiles of 30 pixels.*use (\d+) or more") as raised:
        tiled(made, image, 30, made.extent)
    least = int(str(raised.value).split("use ")[1].split()[0])
    assert tiled(made, image, least, made.extent).shape == (3, 61, 40)
    with pytest.raises(InputError):
        tiled(made, image, least - 1, made.extent)


def test_mistakes_are_named():
    made, image = network(True), torch.rand(2, 50, 50, dtype=torch.float64)
    with pytest.raises(ValueError, match="evaluation mode"):
        tiled(made.train(), image, 60, made.extent)
    with pytest.raises(ValueError, match=r"\(C, H, W\), not \(50, 50\)"):
        tiled(made.eval(), image[0], 60, made.extent)
    with pytest.raises(ValueError, match=r"out is \(3, 50, 40\)"):
        tiled(made, image, 60, made.extent, out=torch.zeros(3, 50, 40))


def test_mirroring_goes_on_as_often_as_it_takes():
    row = torch.arange(3.0).view(1, 1, 1, 3)
    assert mirrored(row, Extent(1, margin=5))[0, 0, 0].tolist() == [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_a_u_net_sees_is_as_measured(depth):
    made = network(True, depth)
    seen = measured(made, 2, 2**depth)
    assert seen.stride == made.extent.stride
    assert seen.reach == (made.extent.reach if depth > 1 else made.extent.reach - 2)
    image = torch.rand(2, 90, 141, dtype=torch.float64)
    torch.testing.assert_close(tiled(made, image, 130, seen), whole(made, image), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "reach"),
    [(nn.Conv2d(2, 2, 7, padding=3), 3), (nn.Conv2d(2, 2, (3, 5), padding=(1, 2)), 2), (nn.Conv2d(2, 1, 1), 0),
     (nn.Conv2d(2, 1, 3, padding=4, dilation=4), 4)],
)  # fmt: skip
def test_the_reach_of_convolutions_is_half_their_kernel(layer, reach):
    assert measured(layer.eval(), 2, 1).reach == reach


class Global(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, images):
        return self.layer(images) * images.mean((2, 3), keepdim=True)


def test_a_network_that_sees_everything_has_no_tiles():
    with pytest.raises(InputError, match="depends on the whole image"):
        measured(Global().eval(), 2, 4, longest=256)
