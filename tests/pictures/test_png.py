import torch

from pendio.pictures.png import image_png

from ..conftest import pixels


def test_a_png_holds_the_image_pixel_by_pixel():
    image = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pixels(image_png(image)), image.permute(1, 2, 0))
    assert torch.equal(pixels(image_png(image.float() / 255)), image.permute(1, 2, 0))
    grey = pixels(image_png(torch.tensor([[[0.0, 0.5], [1.0, 2.0]]])))
    assert grey[..., 0].tolist() == [[0, 128], [255, 255]]
