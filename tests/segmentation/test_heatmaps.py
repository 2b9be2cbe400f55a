import pytest
import torch
from torch import nn

from pendio.classification.models import pretrained
from pendio.data.embedded import photo
from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.segmentation.convolutional import convolutionalize
from pendio.segmentation.heatmaps import heatmap, overlay

COFFEE = (205, 95, 370, 192)
"""Box around the coffee's surface in the photograph, x1, y1, x2, y2."""


@pytest.fixture(scope="module")
def lite0():
    return pretrained("efficientnet-lite0")


@pytest.mark.parametrize("of", ["window", "place"])
def test_the_espresso_is_seen_inside_the_cup(lite0, of):
    seen = heatmap(lite0, photo("coffee"), "Espresso", of=of)
    assert (seen.name, seen.map.shape) == ("espresso", (400, 600))
    x, y = seen.peak
    assert COFFEE[0] < x < COFFEE[2]
    assert COFFEE[1] < y < COFFEE[3]
    assert seen.score == pytest.approx(float(seen.map.max()), rel=0.1)
    assert float(seen.map[:, :60].max()) < 0.3 * seen.score, "there is none on the table"


class Bright(nn.Module):
    """Logits of windows of 4×4 pixels, 4 apart: how bright each is, and nothing."""

    def forward(self, images):
        means = nn.functional.avg_pool2d(images, 4)
        return torch.cat([means, 0 * means], 1).mean((2, 3))


@pytest.fixture
def bright():
    return Network(Bright(), (1, 8, 8), [0.0], [1.0], ["light", "dark"])


def test_cells_lie_at_the_middle_of_their_windows(bright):
    image = torch.zeros(1, 16, 24)
    image[:, 4:8, 12:16] = 1
    seen = heatmap(bright, image, "light", of="place", scale=2)
    assert seen.cells == (4, 6)
    assert seen.peak == (14, 6)
    assert seen.score == 1
    assert float(seen.map[5:7, 13:15].min()) == pytest.approx((1 - 1 / 8) ** 2), "half a pixel off the middle"
    assert float(seen.map[:, :10].max()) == 0
    assert heatmap(bright, image, 0, of="place", scale=2).to_dict()["class"] == "light"


def test_a_window_of_one_cell_covers_all(bright):
    seen = heatmap(bright, torch.ones(1, 30, 30), "light", scale=1)
    assert seen.cells == (1, 1)
    assert seen.peak == (15, 15)
    assert seen.map.unique().tolist() == pytest.approx([torch.tensor([1.0, 0.0]).softmax(0)[0].item()])


def test_a_network_made_convolutional_before_gives_the_same(bright):
    image = torch.rand(1, 20, 33, generator=torch.Generator().manual_seed(0))
    once = convolutionalize(bright)
    assert torch.equal(heatmap(once, image, "light").map, heatmap(bright, image, "light").map)


def test_errors(bright):
    image = torch.zeros(1, 16, 16)
    with pytest.raises(InputError, match="there is no class 'ligth'; did you mean 'light'"):
        heatmap(bright, image, "ligth")
    with pytest.raises(InputError, match="there is no class 7"):
        heatmap(bright, image, 7)
    with pytest.raises(InputError, match="1 at least; got 0.5"):
        heatmap(bright, image, 0, scale=0.5)
    with pytest.raises(InputError, match="choose a smaller scale"):
        heatmap(bright, torch.zeros(1, 1, 1_000_000), 0)
    with pytest.raises(InputError, match="3 channels; this network takes 1"):
        heatmap(bright, torch.zeros(3, 16, 16), 0)


def test_an_overlay_rises_from_dark_to_light():
    image = torch.full((3, 2, 3), 100, dtype=torch.uint8)
    picture = overlay(image, torch.tensor([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]))
    assert picture.dtype == torch.uint8
    assert picture.shape == (3, 2, 3)
    lightness = picture.float().mean(0)[0]
    assert lightness[0] < lightness[1] < lightness[2]
    assert torch.equal(
        overlay(image, torch.ones(2, 3), high=2.0, low=0.0), overlay(image, torch.full((2, 3), 0.5), 0, 1)
    )
