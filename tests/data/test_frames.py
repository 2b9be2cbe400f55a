import pytest
import torch
from PIL import Image

from pendio.data.frames import is_moving, read_frames, write_frames
from pendio.data.images import ImageError
from pendio.errors import InputError


def frames(count=5, height=20, width=30):
    """A white bar that moves down a line a frame."""
    made = torch.zeros(count, 3, height, width)
    for number in range(count):
        made[number, :, 3 * number : 3 * number + 3] = 1
    return made


@pytest.mark.parametrize("name", ["bar.gif", "bar.mp4"])
def test_what_is_written_is_read_back_frame_by_frame(tmp_path, name):
    path = tmp_path / name
    assert write_frames(path, iter(frames()), rate=10) == 5
    assert is_moving(path)
    rate, read = read_frames(path)
    back = torch.stack(list(read)).float() / 255
    assert rate == pytest.approx(10)
    assert back.shape == (5, 3, 20, 30)
    assert (back - frames()).abs().mean() < 0.03
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_odd_sides_lose_a_line_in_video(tmp_path):
    write_frames(tmp_path / "odd.mp4", iter(frames(2, 21, 31)), 25)
    _, read = read_frames(tmp_path / "odd.mp4")
    assert next(read).shape == (3, 20, 30)


def test_a_still_gif_does_not_move(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "still.gif")
    assert not is_moving(tmp_path / "still.gif")
    assert not is_moving(tmp_path / "none.gif")
    assert not is_moving(tmp_path / "still.png")


def test_damaged_and_huge_files_are_named(tmp_path):
    for name in ("bad.gif", "bad.mp4"):
        (tmp_path / name).write_bytes(b"GIF89a no more")
        with pytest.raises(ImageError, match=name):
            list(read_frames(tmp_path / name)[1])
    write_frames(tmp_path / "huge.gif", iter(frames(1)), 10)
    content = bytearray((tmp_path / "huge.gif").read_bytes())
    content[6:10] = (65000).to_bytes(2, "little") * 2
    (tmp_path / "huge.gif").write_bytes(content)
    with pytest.raises(ImageError, match="huge.gif' cannot be read: Image size .* exceeds limit"):
        read_frames(tmp_path / "huge.gif")


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is no moving picture; end it in .gif or .mp4"):
        write_frames(tmp_path / "x.png", iter(frames()), 10)
    with pytest.raises(InputError, match="there is no frame to write"):
        write_frames(tmp_path / "x.gif", iter(()), 10)
    with pytest.raises(InputError, match="cannot write"):
        write_frames(tmp_path / "none" / "x.gif", iter(frames()), 10)


def test_half_a_video_is_not_left_behind(tmp_path):
    def breaks():
        yield frames()[0]
        raise RuntimeError("stop")

    for name in ("x.gif", "x.mp4"):
        with pytest.raises(RuntimeError, match="stop"):
            write_frames(tmp_path / name, breaks(), 10)
    assert list(tmp_path.iterdir()) == []
