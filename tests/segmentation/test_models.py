import pytest
import torch

from pendio.errors import InputError
from pendio.segmentation.models import MODELS, body_name, build, in_parts
from pendio.segmentation.options import SegmentOptions
from pendio.segmentation.tiling import tiled

SMALL = "timm:mobilenetv3_small_050"
CLASSES = ("a", "b", "c")


def made(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chosen = SegmentOptions(**{"width": 4, "backbone": SMALL, "pretrained": False, **options})
        return build(chosen, (3, 64, 64), CLASSES, (0.4,) * 3, (0.2,) * 3).eval(), chosen


def images(*size, count=2):
    return torch.randint(0, 256, (count, 3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("model", [*MODELS, "efficientnet-lite0"])
def test_logits_have_the_size_of_the_images_whatever_it_is(model):
    network, _ = made(model=model)
    assert network.classes == CLASSES
    for size in ((64, 64), (37, 70)):
        with torch.no_grad():
            assert network(images(*size)).shape == (2, 3, *size)


def test_an_unpadded_network_sees_mirrored_borders_and_covers_the_image():
    """Shifted by a stride, an image gives shifted logits, but for what the mirror shows at its borders."""
    network, _ = made(model="unet-valid")
    with torch.no_grad():
        logits = network(images(60, 80, count=1))
        mirrored = network(images(60, 80, count=1).flip(-1))
    assert logits.shape == (1, 3, 60, 80)
    assert not torch.equal(logits, mirrored)
    flat = torch.full((1, 3, 60, 80), 128, dtype=torch.uint8)
    with torch.no_grad():
        even = network(flat)
    # No zeros come in at borders: an image of one colour has everywhere what it has in its middle, up to pooling's grid.
    torch.testing.assert_close(even[:, :, :16, :16], even[:, :, 32:48, 32:48], rtol=1e-4, atol=1e-4)


def test_own_networks_normalise_by_the_data_and_backbones_by_their_own():
    network, options = made(model="unet")
    assert network.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    assert body_name(options) is None
    network, options = made(model="fcn-8s", backbone="efficientnet-lite0")
    assert network.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    assert body_name(options) == "backbone"
    assert sum(p.numel() for p in network.module.get_submodule("backbone").parameters()) > 2.5e6
    network, options = made(model="efficientnet-lite0")
    assert network.mean.flatten().tolist() == pytest.approx([127 / 255] * 3)
    assert sum(p.numel() for p in network.module.get_submodule(body_name(options)).parameters()) > 2.5e6


@pytest.mark.parametrize("model", ["unet", "unet-valid"])
def test_tiles_give_what_the_whole_image_gives(model):
    network, _ = made(model=model)
    image = images(150, 230, count=1)[0]
    module, extent = in_parts(network)
    with torch.no_grad():
        whole = network(image[None])[0]
    parts = tiled(module, image, 320, extent, prepare=network.prepare)
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "unett"}, "unknown model 'unett' in --model: did you mean 'unet'"),
        ({"model": "cnn"}, "unknown model 'cnn' in --model"),
        ({"model": "timm:resnett18"}, "timm has no model 'resnett18'"),
        ({"model": "fcn-8s", "backbone": "lenet"}, "model 'lenet' has no maps at several strides"),
    ],
)
def test_what_there_is_not_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        made(**options)


def test_backbones_take_colours():
    with pytest.raises(InputError, match="takes images with 3 channels; these have 1"):
        build(SegmentOptions(model="fcn-8s"), (1, 64, 64), CLASSES, (0.4,), (0.2,))
