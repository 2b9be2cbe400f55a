import itertools

from pendio.data.annotations.drawing import BEHIND, digits_of, layout, numbers


def test_no_digit_and_no_photograph_is_in_two_splits():
    drawn = {part: {image.tobytes() for image in digits_of(part).images} for part in BEHIND}
    behind = {part: set(BEHIND[part]) for part in BEHIND}
    for one, other in itertools.combinations(BEHIND, 2):
        assert not drawn[one] & drawn[other]
        assert not behind[one] & behind[other]


def test_layouts_place_the_largest_first_and_inside():
    counts = set()
    for index in range(300):
        placed = layout(numbers(index, "train", 0), "train")
        counts.add(len(placed))
        heights = []
        for item in placed:
            assert min(item.box) >= 0
            assert max(item.box) <= 1
            extent = digits_of("train").extents[item.digit]
            heights.append(item.pixel * float(extent[3] - extent[1]))
        assert heights == sorted(heights, reverse=True)
        assert 0.2 <= heights[-1] <= heights[0] <= 0.5
    assert counts == {2, 3, 4, 5, 6}
