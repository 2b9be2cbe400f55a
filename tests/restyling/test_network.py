import pytest
import torch

from pendio.restyling.network import Restyler, mirrored

from .conftest import random_images


@pytest.fixture(scope="module")
def restyler():
    torch.manual_seed(0)
    return Restyler(width=4, blocks=2).eval()


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 40), (7, 9), (16, 16), (21, 30), (33, 64), (50, 47)])
def test_an_image_of_any_size_keeps_it(restyler, size):
    with torch.no_grad():
        after = restyler(random_images(2, *size))
    assert after.shape == (2, 3, *size)
    assert 0 <= float(after.min()) <= float(after.max()) <= 1
    assert float(after.std()) > 0 or size == (1, 1)


def test_every_image_of_a_batch_is_repainted_as_if_alone(restyler):
    images = random_images(3, 18, 22)
    with torch.no_grad():
        alone = torch.cat([restyler(images[number : number + 1]) for number in range(3)])
        torch.testing.assert_close(restyler(images), alone, rtol=1e-5, atol=1e-6)


def test_brightness_and_contrast_do_not_matter_much_to_instance_normalisation(restyler):
    images = random_images(1, 24, 24)
    with torch.no_grad():
        # Reflected borders let no zeros in, so that the first layer's maps only scale and shift.
        torch.testing.assert_close(restyler(images), restyler(0.4 * images + 0.3), rtol=0.02, atol=0.01)


def test_mirroring_goes_on_as_often_as_it_takes():
    row = torch.arange(4.0).view(1, 1, 1, 4)
    assert mirrored(row, 1, 11).flatten().tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert mirrored(row.transpose(2, 3), 6, 1).flatten().tolist() == [0, 1, 2, 3, 2, 1]
    assert mirrored(row[..., :1], 3, 3).flatten().tolist() == [0.0] * 9
    assert mirrored(row, 1, 4) is row


def test_nothing_learns_running_statistics(restyler):
    assert not list(restyler.buffers())
