import pytest
import torch

from pendio.ascent.reading import fingerprint
from pendio.errors import InputError
from pendio.restyling.perception import Perception

from .conftest import make_eye, random_images


def by_hand(network, images, originals, style, style_ends):
    """Content, style and roughness of each image, written out."""
    layers = torch.nn.Sequential(*list(network.eval().module)[:7])
    ends = (1, 4, 6)  # the last layer of each resolution

    def look(pictures):
        values, seen = (pictures - 0.5) / 0.25, {}
        for number, layer in enumerate(layers):
            values = layer(values)
            if number in ends:
                seen[number] = values
        return seen

    def gram(maps):
        flat = maps.flatten(2)
        return torch.einsum("nip,njp->nij", flat, flat) / flat.shape[2]

    seen, wanted, painted = look(images), look(originals), look(style)
    content = ((seen[6] - wanted[6]) ** 2).sum((1, 2, 3)) / (wanted[6] ** 2).sum((1, 2, 3))
    parts = []
    for end in style_ends:
        target = gram(painted[end])
        parts.append(((gram(seen[end]) - target) ** 2).sum((1, 2)) / (target**2).sum())
    across, down = images.diff(dim=3).abs().sum((1, 2, 3)), images.diff(dim=2).abs().sum((1, 2, 3))
    return content, sum(parts) / len(parts), (across + down) / images[0].numel()


@pytest.mark.parametrize(("size", "style_ends"), [((16, 16), (1, 4)), ((33, 30), (1, 4, 6))])
def test_what_is_seen_is_the_formula(size, style_ends):
    """At 16 × 16 the third resolution has 4 × 4 places only, too few for a style."""
    network = make_eye()
    images, originals = random_images(3, *size, seed=1), random_images(3, *size, seed=2)
    style = random_images(1, 30, 20)
    perception = Perception(network, style, (3, *size))
    for _ in range(2):  # from its second pass on, a reader leaves the network early
        with torch.no_grad():
            seen = perception(images, originals)
    for found, expected in zip(seen, by_hand(network, images, originals, style, style_ends), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_an_image_is_its_own_content_and_a_style_its_own_style():
    images = random_images(2)
    seen = Perception(make_eye(), images[:1], (3, 16, 16))(images, images)
    assert seen.content.tolist() == [0, 0]
    assert seen.style[0] < 1e-10 < 1e-3 < seen.style[1]


def test_the_gradient_flows_to_the_images_and_the_network_stays_as_it_was():
    network = make_eye().train()
    before = fingerprint(network)
    images = random_images(2, seed=1).requires_grad_(True)
    seen = Perception(network, random_images(1), (3, 16, 16))(images, random_images(2, seed=2))
    (seen.content + seen.style).sum().backward()
    assert float(images.grad.abs().amax((1, 2, 3)).min()) > 0
    assert fingerprint(network) == before


@pytest.mark.parametrize(
    ("style", "shape", "message"),
    [
        (random_images(1, channels=1), (3, 16, 16), "the style image: .* has 1 channels; this network takes 3"),
        (random_images(1), (1, 16, 16), "training images of 16×16: .* has 1 channels; this network takes 3"),
        (
            random_images(1),
            (3, 3, 3),
            "images of 3×3 are too small: .* have 3 places a side",
        ),
        (random_images(1), (3, 7, 20), "images of 7×20 are too small: .* have 7 places a side"),
    ],
)
def test_what_cannot_be_seen_is_refused(style, shape, message):
    with pytest.raises(InputError, match=message):
        Perception(make_eye(), style, shape)
