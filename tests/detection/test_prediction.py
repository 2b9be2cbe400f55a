import json

import pytest
import torch
from PIL import Image

from pendio.data.frames import read_frames
from pendio.data.images import ImageError, read_image
from pendio.detection.prediction import RESULTS, detect_inputs, find
from pendio.errors import InputError
from pendio.pictures.palette import class_color

from .seeing import Seer

# Finds a cup in the middle of images of shade 7, surely, and a spoon with less certainty.
CUP, SPOON = ([16.0, 24, 32, 40], 0.9, 0), ([40.0, 24, 48, 32], 0.3, 1)


@pytest.fixture
def task():
    return Seer({7: [CUP, SPOON], 8: [CUP]})


def picture(path, size=(128, 64), shade=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade,) * 3).save(path)
    return path


def test_boxes_come_back_in_the_images_own_pixels(task):
    # 128 × 64 is halved and lies in the rows 16 to 48.
    found = find(task, torch.full((3, 64, 128), 7, dtype=torch.uint8))
    assert found.boxes.tolist() == [[32, 16, 64, 48], [80, 16, 96, 32]]
    assert found.labels.tolist() == [0, 1]
    assert find(task, torch.full((3, 64, 128), 7, dtype=torch.uint8), 0.5).labels.tolist() == [0]


def test_what_lies_beside_the_image_alone_is_nothing():
    outside = Seer({7: [([0.0, 0, 60, 10], 0.9, 0), CUP]})
    assert find(outside, torch.full((3, 64, 128), 7, dtype=torch.uint8)).boxes.tolist() == [[32, 16, 64, 48]]


def test_an_image_keeps_its_size_and_gets_its_boxes(task, tmp_path):
    path = picture(tmp_path / "table.png")
    [made] = detect_inputs(task, [str(path)], tmp_path / "out", 0.25)
    assert (made.file, made.size, made.frames) == (tmp_path / "out" / "table.png", (64, 128), 1)
    assert made.objects == (
        {"class": "cup", "score": 0.9, "bbox": [32, 16, 32, 32]},
        {"class": "spoon", "score": 0.3, "bbox": [80, 16, 16, 16]},
    )
    drawn = read_image(made.file)
    assert drawn.shape == (3, 64, 128)
    assert drawn[:, 40, 32].tolist() == list(class_color(0))
    assert drawn[:, 60, 100].tolist() == [7, 7, 7]


def test_all_detections_go_into_one_file_that_coco_reads(task, tmp_path):
    inputs = [str(picture(tmp_path / name, shade=shade)) for name, shade in (("a.png", 7), ("b.png", 9), ("c.png", 8))]
    list(detect_inputs(task, inputs, tmp_path / "out"))
    content = json.loads((tmp_path / "out" / RESULTS).read_text())
    assert [image["file_name"] for image in content["images"]] == inputs
    assert content["categories"] == [{"id": 1, "name": "cup"}, {"id": 2, "name": "spoon"}]
    told = [(row["id"], row["image_id"], row["category_id"]) for row in content["annotations"]]
    assert told == [(1, 1, 1), (2, 1, 2), (3, 3, 1)]
    from pycocotools.coco import COCO

    there = COCO(str(tmp_path / "out" / RESULTS))
    again = there.loadRes(content["annotations"])
    assert again.loadAnns(again.getAnnIds(imgIds=[3]))[0]["bbox"] == [32, 16, 32, 32]


def test_the_threshold_decides_what_is_told(task, tmp_path):
    path = picture(tmp_path / "table.png")
    for threshold, count in ((0.0, 2), (0.3, 2), (0.5, 1), (1.0, 0)):
        [made] = detect_inputs(task, [str(path)], tmp_path / f"out-{threshold}", threshold)
        assert len(made.objects) == count
    with pytest.raises(InputError, match="--threshold must be in"):
        detect_inputs(task, [str(path)], tmp_path / "out", 1.5)


def test_a_gif_is_gone_through_frame_by_frame(task, tmp_path):
    path = tmp_path / "film.gif"
    first, *others = (Image.new("RGB", (128, 64), (shade,) * 3) for shade in (7, 9, 8))
    first.save(path, save_all=True, append_images=others, duration=80)
    [made] = detect_inputs(task, [str(path)], tmp_path / "out")
    assert (made.file.name, made.frames, made.size) == ("film.gif", 3, (64, 128))
    assert len(made.objects) == 2, "those of the first frame"
    rate, frames = read_frames(made.file)
    assert rate == pytest.approx(12.5)
    assert len(list(frames)) == 3
    content = json.loads((tmp_path / "out" / RESULTS).read_text())
    assert [image["frame"] for image in content["images"]] == [0, 1, 2]
    assert [row["image_id"] for row in content["annotations"]] == [1, 1, 3]


def test_a_video_becomes_a_video(task, tmp_path):
    pytest.importorskip("av")
    from pendio.data.frames import write_frames

    path = tmp_path / "film.mov"
    write_frames(path, (torch.full((3, 32, 48), number / 6) for number in range(6)), 25)
    [made] = detect_inputs(task, [str(path)], tmp_path / "out")
    assert (made.file.name, made.frames, made.size) == ("film.mp4", 6, (32, 48))


def test_a_folder_is_gone_through_and_what_is_broken_is_told(task, tmp_path):
    folder = tmp_path / "mine"
    for name in ("a.jpg", "a.png", "deep/b.png"):
        picture(folder / name)
    (folder / "broken.jpg").write_bytes(b"no image")
    results = list(detect_inputs(task, [str(folder), "coffee"], tmp_path / "out"))
    [failure] = [result for result in results if isinstance(result, ImageError)]
    assert "broken.jpg" in str(failure)
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a-2.png", "a.png", "coffee.png", "deep/b.png", RESULTS]


def test_an_input_that_is_not_there_costs_a_line_and_writes_nothing(task, tmp_path):
    with pytest.raises(InputError, match="neither a file or folder"):
        list(detect_inputs(task, [str(tmp_path / "nowhere")], tmp_path / "out"))
    assert not (tmp_path / "out" / RESULTS).exists()


def test_a_result_never_replaces_its_input(task, tmp_path):
    with pytest.raises(InputError, match="would be replaced"):
        list(detect_inputs(task, [str(picture(tmp_path / "a.png"))], tmp_path))


def test_what_is_told_can_be_written_as_json(task, tmp_path):
    [made] = detect_inputs(task, [str(picture(tmp_path / "a.png"))], tmp_path / "out")
    assert json.loads(json.dumps(made.to_dict()))["objects"][0]["class"] == "cup"
