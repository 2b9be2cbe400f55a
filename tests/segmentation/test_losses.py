import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from pendio.errors import InputError
from pendio.segmentation.losses import MapLoss, class_weights, dice, focal

KINDS = ("ce", "dice", "focal", "ce+dice", "focal+dice")


def example(count=2, classes=4, size=(5, 6), dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, *size, generator=generator, dtype=dtype)
    targets = torch.randint(0, classes, (count, *size), generator=generator)
    targets[0, 0, :3] = 255
    return logits, targets


def test_cross_entropy_is_minus_the_logarithm_of_the_right_probability_in_plain_numbers():
    logits, targets = example()
    loss = MapLoss("ce")(logits, targets.to(torch.uint8))
    total = count = 0.0
    for image, truth in zip(logits.softmax(1), targets, strict=True):
        for row in range(5):
            for column in range(6):
                if truth[row, column] != 255:
                    total -= float(image[truth[row, column], row, column].log())
                    count += 1
    assert (float(loss.total), float(loss.weight)) == (pytest.approx(total), count)


def test_classes_weigh_what_is_said_in_loss_and_weight():
    logits, targets = example()
    weights = [0.0, 1.0, 2.5, 0.5]
    for kind in ("ce", "focal"):
        loss = MapLoss(kind, weights, gamma=0.0).double()(logits, targets)
        by_torch = F.cross_entropy(logits, targets, torch.tensor(weights).double(), ignore_index=255)
        assert float(loss.total / loss.weight) == pytest.approx(float(by_torch))


def test_the_focal_loss_is_its_formula_and_the_cross_entropy_without_gamma():
    logits, targets = example()
    valid = targets != 255
    p = logits.softmax(1).movedim(1, -1)[valid].gather(1, targets[valid][:, None])[:, 0]
    assert float(focal(logits, targets, 2.0)) == pytest.approx(float((-((1 - p) ** 2) * p.log()).sum()))
    assert float(focal(logits, targets, 0.5)) == pytest.approx(float((-((1 - p) ** 0.5) * p.log()).sum()))
    assert float(focal(logits, targets, 0.0)) == pytest.approx(float(MapLoss("ce")(logits, targets).total))


def test_a_loss_of_what_is_known_for_sure_has_a_finite_gradient():
    logits = (100 * torch.eye(3)[None, :, :, None]).repeat(1, 1, 1, 2).requires_grad_(True)
    targets = torch.tensor([[[0, 0], [1, 1], [2, 255]]])
    for kind in KINDS:
        for gamma in (0.0, 0.5, 2.0):
            loss = MapLoss(kind, gamma=gamma)(logits, targets)
            [gradient] = torch.autograd.grad(loss.total / loss.weight, logits)
            assert gradient.isfinite().all(), (kind, gamma)


def test_dice_is_the_overlap_of_sums_over_the_batch():
    logits, targets = example()
    p = logits.softmax(1)
    coefficients = []
    for number in range(4):
        valid, truth = (targets != 255).double(), (targets == number).double()
        both = (p[:, number] * truth).sum()
        coefficients.append(2 * both / ((p[:, number] * valid).sum() + truth.sum()))
    assert float(dice(logits, targets)) == pytest.approx(1 - float(torch.stack(coefficients).mean()))


def test_dice_is_nothing_for_a_perfect_answer_and_all_for_a_wrong_one():
    targets = torch.tensor([[[0, 1], [2, 255]]])
    right = 1e4 * F.one_hot(targets.clamp(max=2), 4).movedim(-1, 1).double()
    assert float(dice(right, targets)) == 0
    assert float(dice(right.roll(1, 1), targets)) == pytest.approx(1)


def test_a_class_that_is_absent_counts_neither_for_nor_against():
    """Where one class alone occurs, half its mass given to absent ones is a Dice of 2·½ / (½ + 1), whatever their number."""
    for classes in (2, 3, 9):
        logits = torch.zeros(1, classes, 3, 3, dtype=torch.float64)
        logits[:, 0] = torch.log(torch.tensor(float(classes - 1)))
        assert float(dice(logits, torch.zeros(1, 3, 3, dtype=torch.long))) == pytest.approx(1 - 1 / 1.5)


def test_a_sum_is_the_sum_of_the_means():
    logits, targets = example()
    for kind in ("ce+dice", "focal+dice"):
        parts = [MapLoss(name)(logits, targets) for name in kind.split("+")]
        both = MapLoss(kind)(logits, targets)
        expected = sum(float(part.total / part.weight) for part in parts)
        assert float(both.total / both.weight) == pytest.approx(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_formula(kind):
    logits, targets = example(1, 3, (2, 3))
    targets[0, 1, 2] = 255
    loss = MapLoss(kind, [0.5, 1.0, 2.0], gamma=1.5).double()
    assert gradcheck(lambda values: loss(values, targets).total / 3.0, logits.requires_grad_(True))


@pytest.mark.parametrize("kind", KINDS)
def test_ignored_pixels_have_no_gradient_and_no_say(kind):
    logits, targets = example()
    logits.requires_grad_(True)
    loss = MapLoss(kind)(logits, targets)
    [gradient] = torch.autograd.grad(loss.total, logits)
    ignored = (targets == 255)[:, None].expand_as(gradient)
    assert (gradient[ignored] == 0).all()
    assert (gradient[~ignored] != 0).all()
    changed = logits.detach().clone()
    changed[ignored] = 7.0
    assert torch.equal(MapLoss(kind)(changed, targets).total, loss.total)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_is_ignored_wholly_is_no_loss_and_no_accident(kind):
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = MapLoss(kind, [1.0, 2.0, 3.0])(logits, torch.full((1, 2, 2), 255))
    (loss.total / loss.weight).backward()
    assert (float(loss.total.detach()), float(logits.grad.abs().sum())) == (0, 0)


def test_losses_are_computed_in_full_precision_whatever_the_network_gives():
    logits, targets = example(dtype=torch.float32)
    for kind in KINDS:
        loss = MapLoss(kind)(logits.bfloat16(), targets)
        assert loss.total.dtype == torch.float32
        assert float(loss.total) == pytest.approx(float(MapLoss(kind)(logits.bfloat16().float(), targets).total))


def test_weights_by_frequency():
    assert class_weights("none", [], "x") is None
    balanced = class_weights("balanced", [80, 10, 0, 10], "x")
    assert balanced == pytest.approx([100 / 240, 100 / 30, 0, 100 / 30])
    assert class_weights("median-frequency", [80, 10, 0, 5], "x") == pytest.approx([1 / 8, 1, 0, 2])
    with pytest.raises(InputError, match="--class-weights balanced: the pixels of the classes of 'x' have not been"):
        class_weights("balanced", [], "x")


def test_an_unknown_loss_is_refused():
    with pytest.raises(InputError, match="unknown loss 'dise' in --loss: did you mean 'dice'"):
        MapLoss("dise")
