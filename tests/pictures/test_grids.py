import torch

from pendio.pictures.grids import draw_grid

from ..conftest import pixels


def share(picture, color):
    """Share of pixels near a colour."""
    return float(((picture.float() - torch.tensor(color)).abs().amax(2) < 40).float().mean())


def test_each_image_stands_once_in_its_colours():
    red, blue = torch.zeros(3, 8, 8), torch.zeros(3, 8, 8)
    red[0], blue[2] = 1, 1
    picture = pixels(draw_grid(torch.stack([red, blue, red]), ["a", "b", "c"], columns=2))
    assert share(picture, [255.0, 0, 0]) > 1.8 * share(picture, [0.0, 0, 255]) > 0.1


def test_bytes_and_floats_look_alike():
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one, two = pixels(draw_grid(images, "abc")), pixels(draw_grid(images / 255, "abc"))
    assert (one.int() - two.int()).abs().max() <= 1


def test_captions_take_their_colours():
    plain, coloured = (
        pixels(draw_grid(torch.ones(1, 1, 8, 8), ["WRONG"], colors=colors)) for colors in ((), ("#b3261e",))
    )
    assert share(coloured, [179.0, 38, 30]) > share(plain, [179.0, 38, 30]) == 0
