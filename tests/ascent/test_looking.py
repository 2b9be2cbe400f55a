"""Visualise, invert, dream and style, and their audits, on small networks and one real one."""

import pytest
import torch
from torch import nn

import pendio
import pendio.data
from pendio.ascent import objectives
from pendio.ascent.attacks.goal import Attacked, Goal
from pendio.ascent.audit import audit, audit_attack, outputs
from pendio.ascent.dream import Octaves, dream, zoom
from pendio.ascent.invert import correlation, invert
from pendio.ascent.reading import fingerprint
from pendio.ascent.style import Recipe, StyleImage, keep_colors, match_colors, stylize
from pendio.ascent.visualize import visualize
from pendio.data.embedded import photo
from pendio.data.streams import frame
from pendio.errors import InputError

from .networks import SHAPE, deep, random, wrapped


@pytest.fixture(scope="module")
def digits(digits_run):
    return pendio.load(digits_run.folder).network


@pytest.fixture(scope="module")
def lite0():
    return pendio.load("efficientnet-lite0")


def test_a_digit_is_imagined_that_the_network_is_sure_of(digits):
    before = fingerprint(digits)
    real = next(pendio.data.open("digits").train.batches(200)).inputs
    made = visualize(digits, objectives.logit(torch.arange(10)), count=10, steps=60, real=real, wobble=None)
    assert fingerprint(digits) == before
    saved = (made.images * 255).round() / 255
    assert (digits(saved).argmax(1) == torch.arange(10)).all()
    assert min(made.audit.to_dict(digit)["percentile"] for digit in range(10)) > 95
    assert (made.audit.saved > made.audit.real.amax(1)).sum() >= 8
    again = visualize(digits, objectives.logit(torch.arange(10)), count=10, steps=60, real=real, wobble=None)
    assert torch.equal(made.images, again.images)


def test_pixels_climb_too_and_a_mask_keeps_the_rest(digits):
    base, mask = torch.full((1, 1, 8, 8), 0.25), torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    for kind in ("pixels", "spectrum"):
        made = visualize(digits, objectives.logit(3), steps=20, kind=kind, base=base, mask=mask)
        assert torch.equal(made.images[..., 4:], base[..., 4:])
        assert (made.images[..., :4] - 0.25).abs().max() > 0.05
        assert made.history[-1] > made.history[0]


def test_an_audit_looks_at_saved_moved_and_real_images():
    images, real = random(2, *SHAPE, seed=1).sigmoid(), random(20, *SHAPE, seed=2).sigmoid()
    found = audit(deep(), objectives.logit(torch.tensor([0, 2])), images, real, was_training=True)
    network = deep().eval()
    logits = network((images * 255).round() / 255).detach()
    assert torch.allclose(found.saved, torch.stack([logits[0, 0], logits[1, 2]]))
    among = network(real)[:, [0, 2]].detach()
    assert torch.allclose(found.real, among.T)
    share = 100 * (among < found.saved).float().mean(0)
    assert found.to_dict(0)["highest_real"] == pytest.approx(float(among[:, 0].max()))
    assert not torch.equal(found.held_out, found.value)
    assert found.was_training
    assert found.outputs == "logits"
    assert found.to_dict(1)["percentile"] == pytest.approx(float(share[1]))


def test_an_audit_knows_probabilities_from_logits():
    images = random(4, *SHAPE)
    assert outputs(deep(), images) == "logits"
    soft = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(40, 3), nn.Softmax(1)), 3)
    assert outputs(soft, images) == "probabilities"


def test_an_attack_is_audited_as_a_saved_file():
    network = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(40, 3)), 3)
    originals = (random(2, *SHAPE).sigmoid() * 255).round() / 255
    moved = originals.clone()
    moved[0, 0, 0, 0] += 0.4 / 255  # lost in saving
    moved[1] = (moved[1] + 10 / 255).clamp(0, 1)
    labels = network(originals).argmax(1)
    claims = Attacked(originals, moved, torch.tensor([True, True]), torch.tensor([1, 1]))
    found = audit_attack(network, claims, Goal(labels), epsilon=8 / 255)
    assert found.within.tolist() == [True, False]
    assert found.moved["l0"][0] == 0
    assert not found.reached[0]
    assert found.zero_gradients == 0
    assert found.unbounded == 1
    flat = wrapped(nn.Sequential(nn.Flatten(), nn.Linear(40, 3), nn.Hardtanh(-1e-9, 1e-9)), 3)
    assert audit_attack(flat, claims, Goal(labels), 8 / 255).zero_gradients > 0


def test_an_early_layer_is_inverted_almost_exactly(digits):
    image = next(pendio.data.open("digits").val.batches(1)).inputs
    first, last = invert(digits, image, ["body.stages.0.0", "body.stages.1"], steps=150, smooth=0.0)
    assert first.correlation > 0.97
    assert first.distance < 0.02
    assert last.correlation < first.correlation
    assert last.probability[1] > 0.8
    assert first.layer == "body.stages.0.0"


def test_correlation_is_pearsons():
    first, second = random(1, 1, 5, 5), random(1, 1, 5, 5, seed=1)
    assert correlation(first, 3 * first + 1) == pytest.approx(1)
    assert correlation(first, -first) == pytest.approx(-1)
    assert correlation(first, second) == pytest.approx(
        float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])
    )


@pytest.fixture(scope="module")
def coffee():
    return frame(photo("coffee"), 96)[None, :, :, :80].float() / 255


def test_a_dream_keeps_the_size_and_strengthens_the_layer(lite0, coffee):
    way = Octaves(count=2, steps=4)
    told = []
    made = dream(lite0, coffee, objectives.whole("blocks.2"), way, on_step=lambda step, value: told.append(step))
    assert made.image.shape == coffee.shape
    assert made.after > 1.3 * made.before
    assert told == list(range(1, 9))
    assert correlation(made.image, coffee) > 0.5, "the picture is still there"
    assert 0 <= made.image.min() <= made.image.max() <= 1


def test_tiles_dream_the_whole_image_and_a_mask_holds(lite0, coffee):
    mask = torch.zeros(1, 1, *coffee.shape[2:])
    mask[..., 20:60, 20:60] = 1
    made = dream(lite0, coffee, objectives.whole("blocks.1"), Octaves(count=1, steps=3, tile=40), mask=mask)
    inside = mask.bool().expand_as(coffee)
    assert torch.equal(made.image[~inside], coffee[~inside])
    free = dream(lite0, coffee, objectives.whole("blocks.1"), Octaves(count=1, steps=3, tile=40))
    moved = (free.image - coffee).abs().amax(1)[0]
    assert (torch.nn.functional.avg_pool2d(moved[None, None], 16) > 0.005).all(), "no place is left out"


def test_a_view_sinks_into_its_dream(lite0, coffee):
    frames = list(zoom(lite0, coffee, objectives.whole("blocks.1"), Octaves(count=1, steps=1), 3, rate=1.1))
    assert [frame.shape for frame in frames] == [coffee.shape] * 3
    assert not torch.equal(frames[0], frames[1])


@pytest.mark.parametrize("rule", ["lbfgs", "adam"])
def test_style_and_content_come_near(lite0, coffee, rule):
    style = StyleImage(frame(photo("brick"), 96)[None].float() / 255)
    recipe = Recipe(rule=rule, steps=25, start="noise", style_weight=1.0, scales=1)
    told = []
    made = stylize(lite0, coffee, [style], recipe, on_step=lambda step, value: told.append(step))
    assert made.image.shape == coffee.shape
    assert made.end < 0.55 * made.begin
    assert made.end == pytest.approx(made.content + made.style, rel=1e-4)
    assert told == list(range(1, 26))
    assert 0 <= made.image.min() <= made.image.max() <= 1


def test_several_styles_scales_and_masks(lite0, coffee):
    brick, grass = (StyleImage(frame(photo(name), 96)[None].float() / 255) for name in ("brick", "grass"))
    half = torch.zeros(1, 1, *coffee.shape[2:])
    half[..., :40] = 1
    left = StyleImage(brick.image, mask=half)
    right = StyleImage(grass.image, 2.0, mask=1 - half)
    made = stylize(lite0, coffee, [left, right], Recipe(steps=4, scales=2))
    assert made.image.shape == coffee.shape
    swapped = stylize(
        lite0,
        coffee,
        [StyleImage(brick.image, 2.0, 1 - half), StyleImage(grass.image, mask=half)],
        Recipe(steps=4, scales=2),
    )
    assert not torch.equal(made.image, swapped.image)


def test_colours_are_matched_in_mean_and_covariance():
    content, style = 0.4 + 0.1 * torch.rand(1, 3, 20, 20), 0.3 + 0.3 * torch.rand(1, 3, 15, 30)
    style[:, 1] = style[:, 0] * 0.8
    matched = match_colors(content, [StyleImage(style)])
    for statistic in (torch.mean, lambda pixels, dim: torch.cov(pixels, correction=0)):
        found, wanted = (statistic(image.flatten(2)[0], dim=1) for image in (matched, style))
        assert torch.allclose(found, wanted, atol=1e-3)
    both = match_colors(content, [StyleImage(torch.zeros(1, 3, 4, 4), 3.0), StyleImage(torch.ones(1, 3, 4, 4))])
    assert float(both.mean()) == pytest.approx(0.25, abs=1e-3)


def test_colours_can_stay():
    content, image = torch.rand(1, 3, 4, 4) * 0.5 + 0.25, torch.rand(1, 3, 4, 4) * 0.1 + 0.45
    kept = keep_colors(content, image)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    assert torch.allclose((kept * luma).sum(1), (image * luma).sum(1), atol=0.05)
    chroma = (content - (content * luma).sum(1, keepdim=True)) - (kept - (kept * luma).sum(1, keepdim=True))
    assert chroma.abs().max() < 0.05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Octaves(count=0), "--octaves and --steps must be at least 1, got 0 and 20"),
        (lambda: Octaves(ratio=1.0), "--ratio must be above 1"),
        (lambda: Octaves(tile=8), "--tile must be at least 32 pixels, got 8"),
        (lambda: Recipe(style_weight=-1), "--style-weight must not be negative, got -1"),
        (lambda: Recipe(steps=0), "--steps and --scales must be at least 1"),
        (lambda: Recipe(style_weight=0, content_weight=0), "nothing would count"),
    ],
)
def test_impossible_options_are_refused(make, message):
    with pytest.raises(InputError) as error:
        make()
    assert message in str(error.value)


def test_an_image_too_small_is_refused(lite0):
    with pytest.raises(InputError, match="smaller than the stride of layer 'blocks.6'"):
        dream(lite0, torch.rand(1, 3, 40, 40), objectives.whole("blocks.6"), Octaves(count=3))
    with pytest.raises(InputError, match="one style image or more"):
        stylize(lite0, torch.rand(1, 3, 40, 40), [])
