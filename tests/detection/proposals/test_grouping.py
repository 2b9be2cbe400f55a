import numpy as np
import pytest

from pendio.detection.proposals.grouping import describe, group, neighbors, similarities

ALL = ("color", "texture", "size", "fill")


def regions_of(labels, seed=0, color_bins=4, texture_bins=3):
    """Regions with random histograms of two channels, and the codes they were counted from."""
    draws = np.random.default_rng(seed)
    colors = [draws.integers(0, color_bins, labels.shape) for _ in range(2)]
    textures = [draws.integers(0, texture_bins, labels.shape) for _ in range(4)]
    return describe(labels, colors, color_bins, textures, texture_bins), (colors, textures)


def patches(rows=6, columns=7, side=3):
    """Numbered squares of pixels."""
    return np.kron(np.arange(rows * columns).reshape(rows, columns), np.ones((side, side), dtype=np.int64))


def pairs_of(*pairs):
    return np.array(pairs).T


def test_sizes_boxes_and_histograms_are_those_of_the_pixels():
    labels = np.array([[0, 0, 1], [2, 1, 1]])
    values = np.array([[0, 1, 1], [1, 0, 0]])
    found = describe(labels, [values], 2, [values, 1 - values], 2)
    assert found.sizes.tolist() == [2, 3, 1]
    assert found.boxes.tolist() == [[0, 0, 2, 1], [1, 0, 3, 2], [0, 1, 1, 2]]
    assert found.colors.tolist() == [[1, 1], [2, 1], [0, 1]]
    assert found.textures.tolist() == [[1, 1, 1, 1], [2, 1, 1, 2], [0, 1, 1, 0]]
    assert found.pixels == 6


def test_neighbours_share_a_side_and_not_only_a_corner_or_a_box():
    # 2 lies within the box of 1 and does not touch it; 0 and 3 meet at a corner.
    labels = np.array([[1, 1, 1, 1], [0, 0, 0, 1], [2, 2, 0, 1], [3, 2, 0, 1]])
    assert neighbors(labels).tolist() == [[0, 1], [0, 2], [2, 3]]


def test_one_region_has_no_neighbours():
    assert neighbors(np.zeros((3, 4), dtype=np.int64)).shape == (0, 2)


def test_similarities_as_computed_by_hand():
    # 0 is the left column of 2 pixels, 1 the upper right one, 2 the rest: 12 pixels in all.
    labels = np.array([[0, 2, 2, 2, 2, 1], [0, 2, 2, 2, 2, 2]])
    color = np.array([[0, 0, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1]])
    regions = describe(labels, [color], 2, [color, np.zeros_like(color)], 2)
    first, second = pairs_of((0, 1), (0, 2), (1, 2))
    assert similarities(regions, first, second, ["size"]).tolist() == pytest.approx(
        [1 - 3 / 12, 1 - 11 / 12, 1 - 10 / 12]
    )
    # The box around 0 and 1 is the whole image, of which they fill 3 pixels.
    assert similarities(regions, first, second, ["fill"]).tolist() == pytest.approx([1 - 9 / 12, 1 - 1 / 12, 1 - 0])
    # Shares of the first bin are 1/2, 1 and 2/9.
    expected = [0.5, 2 / 9 + 0.5, 2 / 9]
    assert similarities(regions, first, second, ["color"]).tolist() == pytest.approx(expected)
    # The second direction is alike everywhere, and counts half.
    assert similarities(regions, first, second, ["texture"]).tolist() == pytest.approx([(x + 1) / 2 for x in expected])
    every = similarities(regions, first, second, ALL)
    assert every.tolist() == pytest.approx(sum(similarities(regions, first, second, [one]) for one in ALL).tolist())


def test_a_region_is_wholly_like_one_of_the_same_histogram():
    regions, _ = regions_of(np.arange(1)[None].repeat(4, 0))
    same = np.zeros(1, dtype=np.int64)
    assert similarities(regions, same, same, ["color"]) == pytest.approx(1)
    assert similarities(regions, same, same, ["texture"]) == pytest.approx(1)


def test_every_merge_adds_a_region_until_one_is_left():
    labels = patches()
    regions, _ = regions_of(labels)
    found = group(regions, neighbors(labels), ALL)
    assert len(found.boxes) == 2 * len(regions) - 1
    assert len(found.merges) == len(regions) - 1
    assert found.boxes[-1].tolist() == [0, 0, labels.shape[1], labels.shape[0]]
    assert found.sizes[-1] == labels.size
    assert sorted(found.merges.ravel().tolist()) == list(range(2 * len(regions) - 2))


def members(merges, count):
    sets = [{number} for number in range(count)]
    for first, second in merges.tolist():
        sets.append(sets[first] | sets[second])
    return sets


def test_merged_regions_are_exactly_what_the_pixels_of_both_say():
    labels = patches(4, 5)
    regions, (colors, textures) = regions_of(labels)
    found = group(regions, neighbors(labels), ALL)
    for number, its in enumerate(members(found.merges, len(regions))):
        whole = np.where(np.isin(labels, list(its)), 0, 1)
        union = describe(whole, colors, 4, textures, 3)
        assert found.sizes[number] == union.sizes[0]
        assert found.boxes[number].tolist() == union.boxes[0].tolist()
        assert found.histograms[number].tolist() == [*union.colors[0], *union.textures[0]]


def by_trying_all(labels, codes, measures):
    """The regions that are merged, when all neighbours are described and compared anew each time."""
    current, made = labels.copy(), []
    names = [{number} for number in range(labels.max() + 1)]
    while current.max():
        regions = describe(current, codes[0], 4, codes[1], 3)
        pairs = neighbors(current)
        best = pairs[similarities(regions, pairs[:, 0], pairs[:, 1], measures).argmax()]
        made.append(names[best[0]] | names[best[1]])
        current[current == best[1]] = best[0]
        names[best[0]] = made[-1]
        kept, current = np.unique(current, return_inverse=True)
        names = [names[number] for number in kept]
    return made


@pytest.mark.parametrize("measures", [ALL, ALL[1:], ("fill", "color"), ("texture",)])
def test_the_most_similar_neighbours_merge_first(measures):
    labels = patches(3, 5)
    regions, codes = regions_of(labels, seed=3)
    found = group(regions, neighbors(labels), measures)
    assert members(found.merges, len(regions))[len(regions) :] == by_trying_all(labels, codes, measures)


def test_a_single_region_is_its_own_hierarchy():
    labels = np.zeros((2, 3), dtype=np.int64)
    regions, _ = regions_of(labels)
    assert group(regions, neighbors(labels), ALL).boxes.tolist() == [[0, 0, 3, 2]]
