import itertools

import pytest
import torch

from pendio.data.annotations.records import IGNORED
from pendio.data.annotations.scenes import AREAS, DIGITS, SCENES, label_map, open_scenes, scene
from pendio.errors import InputError

SAMPLE = [(index, part) for part in SCENES for index in range(25)]


def luma(pixels):
    return pixels.float().mT @ torch.tensor([0.299, 0.587, 0.114])


def test_the_same_arguments_give_the_same_scene_and_others_another():
    one, again = scene(5, "val"), scene(5, "val")
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    for other in (scene(6, "val"), scene(5, "test"), scene(5, "val", seed=1)):
        assert not torch.equal(one.image, other.image)


@pytest.mark.parametrize("size", [64, 128])
def test_boxes_are_tight_around_disjoint_visible_masks(size):
    for index, part in SAMPLE:
        made = scene(index, part, size=size)
        assert made.image.shape == (3, size, size)
        assert made.image.dtype == torch.uint8
        assert 2 <= len(made.labels) <= 6
        assert made.masks.sum(0).max() == 1
        for box, mask in zip(made.boxes, made.masks, strict=True):
            rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def test_digits_overlap_little_and_are_neither_tiny_nor_huge():
    from torchvision.ops import box_iou

    heights = []
    for index, part in SAMPLE:
        made = scene(index, part)
        for a, b in itertools.combinations(range(len(made.boxes)), 2):
            assert float(box_iou(made.boxes[a : a + 1], made.boxes[b : b + 1])) < 0.13  # whole pixels, and hidden parts
        heights += (made.boxes[:, 3] - made.boxes[:, 1]).tolist()
    heights = torch.tensor(heights) / 128
    assert heights.min() > 0.15
    assert heights.max() < 0.56
    share = (heights < (0.2 * 0.5) ** 0.5).float().mean()
    assert 0.4 < float(share) < 0.65, "as many below as above the middle of a logarithmic scale"


def test_digits_stand_out_from_what_is_around_them():
    gaps = []
    for index, part in SAMPLE[10:60]:
        made = scene(index, part)
        covered = made.masks.any(0)
        for box, mask in zip(made.boxes.int().tolist(), made.masks, strict=True):
            around = torch.zeros_like(mask)
            around[max(0, box[1] - 3) : box[3] + 3, max(0, box[0] - 3) : box[2] + 3] = True
            gaps.append((luma(made.image[:, mask]).mean() - luma(made.image[:, around & ~covered]).mean()).abs())
    gaps = torch.stack(gaps)
    assert float(gaps.quantile(0.05)) > 50
    assert float(gaps.min()) > 20


def test_the_label_map_holds_digits_plus_one():
    made = scene(3, "train")
    areas = label_map(made)
    assert areas.dtype == torch.uint8
    for mask, label in zip(made.masks, made.labels, strict=True):
        assert (areas[mask] == label + 1).all()
    assert (areas[~made.masks.any(0)] == 0).all()


def test_a_larger_scene_is_the_same_scene():
    small, large = scene(1, "train", size=128), scene(1, "train", size=512)
    assert torch.equal(small.labels, large.labels)
    assert (large.boxes / 4 - small.boxes).abs().max() < 1.6


def test_opened_for_boxes():
    data = open_scenes("boxes", 64, ("flip", "mosaic"))
    assert data.kind == "boxes"
    assert data.classes == DIGITS
    assert data.shape == (3, 64, 64)
    assert (len(data.train), len(data.val), len(data.test)) == (4000, 250, 500)
    assert data.augmented
    batch = data.val.take(torch.arange(3))
    made = scene(1, "val", size=64)
    assert torch.equal(batch.inputs[1], made.image)
    assert torch.equal(batch.boxes[1, : len(made.boxes)], made.boxes)
    assert batch.areas[1, : len(made.boxes)].tolist() == made.masks.flatten(1).sum(1).tolist()
    assert sum(data.class_counts) == pytest.approx(4000 * 4, rel=0.05)
    counted = torch.zeros(10, dtype=torch.long)
    for index in range(0, 2000, 20):
        counted += torch.bincount(scene(index, "train", size=64).labels, minlength=10)
    assert (counted / counted.sum() - torch.tensor(data.class_counts) / sum(data.class_counts)).abs().max() < 0.05


def test_opened_for_masks():
    data = open_scenes("masks", 64, ("flip",))
    assert data.kind == "masks"
    assert data.classes == AREAS
    batch = data.test.take(torch.arange(2))
    assert torch.equal(batch.targets[1], label_map(scene(1, "test", size=64)))
    assert IGNORED not in batch.targets
    assert sum(data.class_counts) == 256 * 64 * 64
    assert 0.6 < data.class_counts[0] / sum(data.class_counts) < 0.95
    assert all(0.2 < value < 0.8 for value in data.mean)


def test_several_sizes_come_from_one_rendering():
    data = open_scenes("boxes", 64, (), sizes=(64, 96))
    seen = {batch.inputs.shape[-1] for _, batch in zip(range(6), data.train.batches(2, epoch=0), strict=False)}
    assert seen == {64, 96}


@pytest.mark.parametrize(("size", "sizes"), [(63, ()), (1025, ()), (128, (32, 128))])
def test_sizes_have_limits(size, sizes):
    with pytest.raises(InputError, match=r"--size (63|1025|32): scenes are made with 64 to 1024 pixels a side"):
        open_scenes("boxes", size, sizes=sizes)
