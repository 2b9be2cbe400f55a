import pytest
import torch

from pendio.detection.errors import KINDS, confusion, error_budget, find_mistakes, image_errors, mended_precision
from pendio.detection.matching import NONE, Outcome
from pendio.exact.precision import random_case

from .test_matching import OBJECT, outcome

FAR = [200.0, 200, 210, 210]
LOOSE = [0.0, 0, 10, 4]

ONE_EACH = {
    "localisation": ([(LOOSE, 0.9, 0)], [(OBJECT, 0)]),
    "class": ([(OBJECT, 0.9, 1)], [(OBJECT, 0)]),
    "duplicate": ([(OBJECT, 0.9, 0), (OBJECT, 0.8, 0)], [(OBJECT, 0)]),
    "both": ([(LOOSE, 0.9, 1)], [(OBJECT, 0)]),
    "background": ([(FAR, 0.9, 0)], [(OBJECT, 0)]),
    "missed": ([], [(OBJECT, 0)]),
}


def kinds(one):
    mistakes = find_mistakes(one)
    named = [list(KINDS)[kind] for kind in mistakes.kind.tolist() if kind != NONE]
    return named + ["missed"] * int(mistakes.missed.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_where_it_occurs_once(kind):
    found, objects = ONE_EACH[kind]
    expected = [kind, "missed"] if kind in ("both", "background") else [kind]
    assert kinds(outcome(found, objects)) == expected


def test_what_is_right_is_no_mistake():
    one = outcome([(OBJECT, 0.9, 0)], [(OBJECT, 0)])
    assert kinds(one) == []
    assert find_mistakes(one).target.tolist() == [0]


def test_bounds_of_overlap_belong_to_the_milder_kind():
    assert kinds(outcome([([0.0, 0, 10, 5], 0.9, 0)], [(OBJECT, 0)])) == []
    assert kinds(outcome([([0.0, 0, 10, 5], 0.9, 1)], [(OBJECT, 0)])) == ["class"]
    assert kinds(outcome([([0.0, 0, 10, 1], 0.9, 0)], [(OBJECT, 0)])) == ["localisation"]
    assert kinds(outcome([([0.0, 0, 10, 0.9], 0.9, 0)], [(OBJECT, 0)])) == ["background", "missed"]


def test_an_own_object_explains_before_another():
    objects = [(OBJECT, 0), ([0.0, 0, 10, 4], 1)]
    assert kinds(outcome([(OBJECT, 0.9, 0), (OBJECT, 0.8, 0)], objects))[0] == "duplicate"


def test_crowds_are_neither_missed_nor_mistaken():
    crowd = ([0.0, 0, 100, 100], 0)
    assert kinds(outcome([([50.0, 50, 60, 60], 0.9, 0)], [crowd], crowd=[0])) == []
    assert kinds(outcome([([50.0, 50, 60, 60], 0.9, 1)], [crowd], crowd=[0])) == ["background"]


# What mending brings


@pytest.mark.parametrize("kind", KINDS)
def test_mending_the_only_kind_makes_all_right(kind):
    found, objects = ONE_EACH[kind]
    one = outcome(found, objects)
    assert mended_precision(one, find_mistakes(one), {kind, "missed"}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kind_that_is_there_gains(kind):
    # Beside the mistake, both classes are found once, though with less certainty.
    found, objects = ONE_EACH[kind]
    known = [([300.0, 0, 310, 10], 0), ([300.0, 50, 310, 60], 1)]
    one = outcome([*found, *((box, 0.5, label) for box, label in known)], [*objects, *known])
    gains = {share.kind: share.gain for share in error_budget(one).shares}
    assert gains.pop(kind) > 0.05
    # What nothing was found of is missed as well.
    missed = gains.pop("missed", 0)
    assert missed > 0.1 if kind in ("both", "background") else missed == 0
    assert all(gain == 0 for gain in gains.values())


@pytest.mark.parametrize("seed", range(30))
def test_mending_all_kinds_is_1_and_mending_one_never_harms(seed):
    one = Outcome.of(*random_case(seed))
    mistakes = find_mistakes(one)
    before = mended_precision(one, mistakes)
    for kind in KINDS:
        # To find no longer what was never asked for can only help; so can a right detection in place of a wrong one.
        if kind not in ("class", "missed"):
            assert mended_precision(one, mistakes, {kind}) >= before - 1e-12
    assert mended_precision(one, mistakes, KINDS) == pytest.approx(1 if len(one.truths.crowd) else 0)


def test_gains_by_hand():
    # Right at 0.9; background at 0.8; right at 0.7: (51 + 50·2/3)/101 as it is, 1 without the background.
    other = [0.0, 50, 10, 60]
    one = outcome([(OBJECT, 0.9, 0), (FAR, 0.8, 0), (other, 0.7, 0)], [(OBJECT, 0), (other, 0)])
    budget = error_budget(one)
    assert budget.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    gains = {share.kind: share.gain for share in budget.shares}
    assert gains["background"] == pytest.approx(1 - budget.ap50)
    assert sum(gains.values()) == pytest.approx(gains["background"])


def test_a_wrong_class_counts_for_the_right_one_once_mended():
    one = outcome([(OBJECT, 0.9, 1), (FAR, 0.8, 1)], [(OBJECT, 0), (FAR, 1)])
    mistakes = find_mistakes(one)
    assert mended_precision(one, mistakes) == pytest.approx((0 + 1 / 2) / 2)
    assert mended_precision(one, mistakes, {"class"}) == 1


def test_missed_objects_are_not_asked_for_once_mended():
    one = outcome([(OBJECT, 0.9, 0)], [(OBJECT, 0), (FAR, 0), ([90.0, 0, 99, 9], 1)])
    mistakes = find_mistakes(one)
    assert mistakes.missed.tolist() == [False, True, True]
    assert mended_precision(one, mistakes) == pytest.approx(51 / 101 / 2)
    assert mended_precision(one, mistakes, {"missed"}) == 1


# Counts and images


def several(*images):
    return Outcome.joined([outcome(*image) for image in images])


def test_counts_are_of_what_is_seen_and_images_are_named():
    quiet = ([(FAR, 0.1, 0)], [])
    one = several(ONE_EACH["missed"], quiet, ([(FAR, 0.9, 0)] * 2, []), ([(FAR, 0.9, 0)], []))
    shares = {share.kind: share for share in error_budget(one, 0.25).shares}
    assert (shares["background"].count, shares["background"].images) == (3, (2, 3))
    assert (shares["missed"].count, shares["missed"].images) == (1, (0,))
    lower = {share.kind: share for share in error_budget(one, 0.05).shares}
    assert lower["background"].images == (2, 1, 3)


def test_the_worst_images_come_first_and_good_ones_never():
    good = ([(OBJECT, 0.9, 0)], [(OBJECT, 0)])
    bad = ([(FAR, 0.9, 0)], [(OBJECT, 0)])
    errors = image_errors(several(good, ONE_EACH["missed"], bad), threshold=0.25)
    assert errors.missed.tolist() == [0, 1, 1]
    assert errors.false.tolist() == [0, 0, 1]
    assert errors.worst.tolist() == [2, 1]


# Confusion


def test_confusion_has_a_background():
    objects = [(OBJECT, 0), (FAR, 1), ([60.0, 60, 70, 70], 1)]
    found = [(OBJECT, 0.9, 0), (FAR, 0.8, 0), ([90.0, 0, 99, 9], 0.7, 1), ([90.0, 0, 99, 9], 0.2, 1)]
    counts = confusion(outcome(found, objects), 2)
    assert counts.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_an_object_goes_to_its_own_class_before_a_surer_other():
    counts = confusion(outcome([(OBJECT, 0.9, 1), (OBJECT, 0.8, 0)], [(OBJECT, 0)]), 2)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_a_box_with_two_labels_is_right_twice():
    counts = confusion(outcome([(OBJECT, 0.9, 1), (OBJECT, 0.8, 0)], [(OBJECT, 0), (OBJECT, 1)]), 2)
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_crowds_count_nowhere():
    crowd = ([0.0, 0, 100, 100], 0)
    assert confusion(outcome([([50.0, 50, 60, 60], 0.9, 0)], [crowd], crowd=[0]), 1).sum() == 0


@pytest.mark.parametrize("seed", range(10))
def test_confusion_counts_every_object_and_every_detection_once(seed):
    one = Outcome.of(*random_case(seed))
    counts, seen = confusion(one, 3, threshold=0.3), one.above(0.3)
    objects = torch.bincount(one.truths.labels[~one.truths.crowd], minlength=3)
    assert torch.equal(counts[:3].sum(1), objects)
    ignored = find_mistakes(seen).ignored
    assert torch.equal(counts[:, :3].sum(0), torch.bincount(seen.found.labels[~ignored], minlength=3))
    assert int(counts[3, 3]) == 0


def test_nothing_at_all_has_no_mistakes():
    empty = Outcome.joined([])
    assert error_budget(empty).ap50 == 0
    assert confusion(empty, 2).sum() == 0
    assert len(image_errors(empty).worst) == 0
