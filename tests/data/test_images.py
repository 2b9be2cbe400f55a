import io
import random
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pendio.data.images import MAX_PIXELS, ImageError, decode, read_header, read_image

from .conftest import picture


def save(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def flat(*color, mode="RGB", size=(8, 6)):
    return Image.new(mode, size, color if len(color) > 1 else color[0])


def mean_color(path):
    return read_image(path).float().mean((1, 2)).tolist()


def test_shape_and_type(tmp_path):
    path = save(tmp_path, picture(1, (20, 10)), "a.png")
    image = read_image(path)
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 10, 20))
    assert tuple(read_image(path, grey=True).shape) == (1, 10, 20)
    assert np.array_equal(image.permute(1, 2, 0).numpy(), np.array(picture(1, (20, 10))))


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (flat(100, mode="L"), "grey.png", (100, 100, 100)),
        (flat(100, mode="L"), "grey.jpg", (100, 100, 100)),
        (flat(1, mode="1"), "bits.png", (255, 255, 255)),
        (flat(10, 20, 30, 255, mode="RGBA"), "opaque.png", (10, 20, 30)),
        (flat(10, 20, 30, 0, mode="RGBA"), "clear.png", (255, 255, 255)),
        (flat(0, 0, 0, 127, mode="RGBA"), "half.png", (128, 128, 128)),
        (flat(0, 0, mode="LA"), "clear-grey.png", (255, 255, 255)),
        (flat(200, 30, 60).quantize(16), "palette.gif", (200, 30, 60)),
        (flat(200, 30, 60), "colour.webp", (200, 30, 60)),
        (flat(200, 30, 60), "colour.bmp", (200, 30, 60)),
        (flat(200, 30, 60), "colour.tif", (200, 30, 60)),
        (flat(51, mode="L"), "grey.pgm", (51, 51, 51)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_shows_its_colour(tmp_path, image, name, expected):
    assert mean_color(save(tmp_path, image, name)) == pytest.approx(expected, abs=4)


def test_a_transparent_palette_entry_shows_white(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 1)
    pixels = read_image(save(tmp_path, image, "a.png", transparency=0))
    assert pixels[:, 3, 3].tolist() == [255, 255, 255]
    assert pixels[:, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("value", [0, 257, 128 * 257, 65535, 30000])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, value):
    image = Image.fromarray(np.full((4, 4), value, dtype=np.uint16))
    assert mean_color(save(tmp_path, image, "deep.png")) == [round(value / 257)] * 3


def test_cmyk_shows_its_ink(tmp_path):
    path = save(tmp_path, flat(0, 255, 255, 0, mode="CMYK"), "ink.jpg", quality=100)
    red, green, blue = mean_color(path)
    assert red > 200
    assert max(green, blue) < 60


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path, orientation, suffix):
    upright = Image.new("RGB", (32, 16), "black")
    upright.paste("white", (0, 0, 16, 8))  # the upper left quarter
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(save(tmp_path, stored, f"a.{suffix}", exif=exif))
    assert tuple(image.shape) == (3, 16, 32)
    assert image[:, :6, :14].float().mean() > 240
    assert image[:, 10:, 18:].float().mean() < 15


def test_an_animation_shows_its_first_frame(tmp_path):
    frames = [flat(255, 0, 0), flat(0, 255, 0)]
    path = save(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert mean_color(path) == [255, 0, 0]


def test_jpegs_are_read_like_pillow_reads_them(tmp_path):
    path = save(tmp_path, picture(3, (120, 90)), "a.jpg", quality=95, progressive=True)
    ours = read_image(path).permute(1, 2, 0).numpy().astype(int)
    assert np.abs(ours - np.array(Image.open(path)).astype(int)).max() <= 2


def test_a_much_larger_jpeg_may_be_decoded_smaller_but_never_too_small(tmp_path):
    smooth = picture(3, (60, 40)).resize((1200, 800), Image.Resampling.BICUBIC)
    path = save(tmp_path, smooth, "a.jpg", quality=95)
    sizes = {side: tuple(read_image(path, at_least=side).shape[1:]) for side in (1000, 401, 400, 200, 150, 100, 20)}
    assert sizes == {
        1000: (800, 1200), 401: (800, 1200), 400: (400, 600), 200: (200, 300), 150: (200, 300), 100: (100, 150),
        20: (100, 150),
    }  # fmt: skip
    small = read_image(path, at_least=400).float()
    assert (small - read_image(path).float().unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4))).abs().mean() < 1.5


def bomb(width=60_000, height=60_000):
    """The first bytes of a PNG that claims to be enormous."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    parts = [(b"IHDR", body), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def test_a_claim_of_enormous_size_is_refused_before_decoding(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb())
    for read in (read_image, read_header):
        with pytest.raises(ImageError, match=r"bomb.png' claims .*(60000×60000|too large)"):
            read(path)
    path.write_bytes(bomb(MAX_PIXELS // 1000 + 1, 1000))
    with pytest.raises(ImageError, match="more than the limit of 100,000,000"):
        read_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp"])
def test_a_truncated_file_is_damaged_and_named(tmp_path, name):
    path = save(tmp_path, picture(5, (200, 150)), name)
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ImageError, match=name):
            read_image(path)


def test_what_is_no_image_says_so(tmp_path):
    (tmp_path / "text.jpg").write_text("I am a poem")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match=r"text.jpg' is not an image"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(ImageError, match=r"empty.png' is not an image"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match=r"folder.png' cannot be read: Is a directory"):
        read_image(tmp_path / "folder.png")
    with pytest.raises(ImageError, match=r"none.png' cannot be read: No such file"):
        read_header(tmp_path / "none.png")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_hostile_bytes_give_an_image_or_an_image_error(tmp_path, form):
    buffer = io.BytesIO()
    picture(7).save(buffer, form)
    chance = random.Random(form)
    for _ in range(150):
        content = bytearray(buffer.getvalue())
        for _ in range(chance.randint(1, 12)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            image = decode(bytes(content), tmp_path / "x")
            assert (image.dtype, image.shape[0], image.ndim) == (torch.uint8, 3, 3)
        except ImageError:
            continue


def test_headers_tell_size_and_colour_without_decoding(tmp_path):
    header = read_header(save(tmp_path, picture(1, (31, 17)), "a.jpg"))
    assert (header.width, header.height, header.grey) == (31, 17, False)
    assert read_header(save(tmp_path, flat(3, mode="L"), "g.png")).grey
