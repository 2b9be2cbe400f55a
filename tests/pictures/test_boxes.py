import pytest
import torch

from pendio.pictures.boxes import Boxes, draw_annotated, draw_boxes, draw_comparison
from pendio.pictures.palette import class_color

from ..conftest import pixels

CLASSES = ["cup", "spoon", "a name much longer than any picture has room for"]


def image(height=200, width=300):
    return torch.full((3, height, width), 200, dtype=torch.uint8)


def boxes(rows, labels, scores=None):
    return Boxes(
        torch.tensor(rows).reshape(-1, 4), torch.tensor(labels), None if scores is None else torch.tensor(scores)
    )


def color(number):
    return torch.tensor(class_color(number), dtype=torch.uint8)


def test_a_frame_lies_on_the_edges_in_the_class_colour():
    blank = image()
    drawn = draw_boxes(blank, boxes([[50.0, 60, 150, 140]], [1]), CLASSES)
    assert drawn.shape == blank.shape
    assert drawn.dtype == torch.uint8
    for x, y in ((50, 100), (149, 100), (100, 60), (100, 139)):
        assert torch.equal(drawn[:, y, x], color(1)), (x, y)
    for x, y in ((49, 100), (150, 100), (100, 140), (100, 100)):
        assert torch.equal(drawn[:, y, x], blank[:, y, x]), (x, y)
    assert (blank == 200).all(), "the image itself is left alone"


def test_a_label_stands_above_its_frame_or_within_where_there_is_no_room():
    high = draw_boxes(image(), boxes([[50.0, 60, 150, 140]], [0]), CLASSES)
    assert torch.equal(high[:, 58, 51], color(0))
    low = draw_boxes(image(), boxes([[50.0, 0, 150, 140]], [0]), CLASSES)
    assert torch.equal(low[:, 2, 51], color(0))


def test_labels_never_leave_the_image_nor_cover_each_other():
    same = [[250.0, 100, 299, 190]]
    one = draw_boxes(image(), boxes(same, [2], [0.5]), CLASSES)
    two = draw_boxes(image(), boxes(same * 2, [2, 1], [0.5, 0.9]), CLASSES)

    def area(drawn, number):
        return int((drawn == color(number)[:, None, None]).all(0).sum())

    assert area(one, 2) > 500
    # The frame of the surer lies on top; both labels are whole.
    frame = 2 * (49 + 88)
    assert area(two, 2) >= area(one, 2) - frame - 20
    assert area(two, 1) > frame


def test_the_surest_lies_on_top():
    same = [[50.0, 60, 150, 140]]
    for scores, top in (([0.9, 0.5], 0), ([0.5, 0.9], 1)):
        drawn = draw_boxes(image(), boxes(same * 2, [0, 1], scores), CLASSES)
        assert torch.equal(drawn[:, 139, 100], color(top))


def test_scores_are_written_and_names_cut():
    assert boxes([[0.0] * 4], [0], [0.456]).texts(CLASSES) == ["cup 46%"]
    [text] = boxes([[0.0] * 4], [2]).texts(CLASSES)
    assert len(text) == 24
    assert text.endswith("…")


@pytest.mark.parametrize(
    "row", [[-50.0, -50, -10, -10], [400.0, 10, 500, 20], [30.0, 30, 30, 90], [60.0, 60, 50, 50]],
    ids=["before", "behind", "no width", "turned over"],
)  # fmt: skip
def test_what_lies_outside_or_is_empty_is_not_drawn(row):
    assert torch.equal(draw_boxes(image(), boxes([row], [0]), CLASSES), image())


def test_a_box_beyond_the_image_is_drawn_as_far_as_it_goes():
    drawn = draw_boxes(image(), boxes([[-1e6, -20, 1e6, 150]], [1]), CLASSES)
    assert torch.equal(drawn[:, 100, 0], color(1))
    assert torch.equal(drawn[:, 100, 299], color(1))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 500), (400, 3)])
def test_images_of_any_size_can_be_drawn_into(height, width):
    small = draw_boxes(image(height, width), boxes([[0.0, 0, width, height]], [0], [0.5]), CLASSES)
    assert small.shape == (3, height, width)


def test_a_comparison_shows_both_and_says_which():
    one, nothing = boxes([[10.0, 10, 50, 50]], [0]), boxes([], [])
    images = image(64, 64)[None]
    both = pixels(draw_comparison(images, [one], [one], [("a.png", "0 missed")], CLASSES))
    missed = pixels(draw_comparison(images, [one], [nothing], [("a.png", "1 missed")], CLASSES))
    half = both.shape[1] // 2

    def blue(picture):
        return int((picture == color(0)).all(-1).sum())

    assert blue(both[:, :half]) > 100
    assert blue(both[:, half:]) > 100
    assert blue(missed[:, :half]) > 100
    assert blue(missed[:, half:]) == 0


def test_annotated_images_show_what_is_true():
    picture = pixels(draw_annotated(image(64, 64)[None], [boxes([[10.0, 10, 50, 50]], [1])], CLASSES))
    assert int((picture == color(1)).all(-1).sum()) > 100
