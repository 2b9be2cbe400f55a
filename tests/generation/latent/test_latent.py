from types import SimpleNamespace

import pytest
import torch

from pendio.data.examples import Data, Resident
from pendio.errors import InputError
from pendio.generation.latent import maps
from pendio.generation.latent.codes import decoded, encoded
from pendio.generation.latent.directions import attribute_direction, principal_directions
from pendio.generation.latent.edits import edit
from pendio.generation.latent.mapping import check_same_data, study_map
from pendio.generation.latent.paths import lerp, slerp, traversals
from pendio.generation.latent.pictures import draw_codes, draw_map_errors, draw_mapping, plane_codes


def points(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Linear:
    """An exact latent space: a rotation of the pixels, of image shape where asked."""

    shape = (1, 4, 4)

    def __init__(self, seed, latent=(16,)):
        self.turn, self.latent = torch.linalg.qr(points(seed, 16, 16))[0].float(), latent

    def encode(self, inputs):
        return (inputs.flatten(1) @ self.turn).reshape(-1, *self.latent)

    def decode(self, codes):
        return (codes.flatten(1) @ self.turn.T).reshape(-1, 1, 4, 4)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(120, 1, 4, 4, generator=generator), torch.arange(120) % 3
    images[labels == 1, 0, 0, 0] += 1
    images = (images / 2).clamp(0, 1)
    train, val = Resident(images[:80], labels[:80]), Resident(images[80:], labels[80:])
    return Data(name="toy", kind="images", train=train, val=val, test=None, classes=("a", "b", "c"), shape=(1, 4, 4),
                mean=(0.5,), std=(0.3,))  # fmt: skip


def test_codes_go_back_to_their_examples_also_of_image_shape(data):
    task = Linear(0, latent=(1, 4, 4))
    codes = encoded(task, data, "val")
    assert codes.values.shape == (40, 16)
    torch.testing.assert_close(decoded(task, codes.values), codes.inputs)


def test_paths_begin_and_end_at_their_codes():
    start, end = points(0, 6), points(1, 6)
    for path in (lerp(start, end, 5), slerp(start, end, 5)):
        torch.testing.assert_close(path[[0, -1]], torch.stack([start, end]))


def test_a_great_circle_between_codes_that_point_the_same_way_is_a_line():
    start = points(0, 6)
    torch.testing.assert_close(slerp(start, 3 * start, 5), lerp(start, 3 * start, 5))
    assert slerp(start, -start, 5).isfinite().all()
    assert slerp(start, 0 * start, 5).isfinite().all()


def test_a_traversal_moves_one_dimension_by_its_standard_deviations():
    values = points(0, 50, 4)
    path = traversals(values, torch.tensor([2, 0]), steps=7, reach=3.0)
    mean, spread = values.mean(0), values.std(0)
    torch.testing.assert_close(path[0, -1, 2], mean[2] + 3 * spread[2])
    torch.testing.assert_close(path[0, :, [0, 1, 3]], mean[[0, 1, 3]].expand(7, 3))
    torch.testing.assert_close(path[1, 0, 0], mean[0] - 3 * spread[0])


@pytest.mark.parametrize("method", ["mean", "lda", "logistic"])
def test_the_direction_of_an_attribute_is_where_it_was_put(method):
    values, has = points(0, 400, 5), torch.arange(400) % 2 == 0
    values[has, 3] += 6
    assert attribute_direction(values, has, method)[3] > 0.98


def test_principal_directions_are_those_of_the_covariance():
    values = points(0, 60, 3) * torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)
    ways, spreads = principal_directions(values, 2)
    torch.testing.assert_close(spreads.square(), torch.linalg.eigvalsh(values.T.cov()).flip(0)[:2])
    assert ways[0].argmax() == 1


def test_an_edit_moves_the_wanted_class_most(data):
    task = Linear(0)
    codes = encoded(task, data, "train")
    done = edit(task, codes, 1, codes.values[:4], strength=2.0, steps=3)
    assert done.moved.argmax() == 1
    assert done.moved[1] > 1
    assert 0 <= done.entanglement < 1
    torch.testing.assert_close(done.examples[0], codes.inputs[:4])


def test_attributes_need_classes(data):
    codes = encoded(Linear(0), data, "val")
    with pytest.raises(InputError, match="no classes"):
        type(codes)(codes.inputs, codes.targets, codes.values, ()).attributes()


@pytest.mark.parametrize("method", ["ridge", "procrustes"])
def test_a_map_between_rotated_spaces_loses_nothing(data, method):
    found = study_map(Linear(0), Linear(1, latent=(1, 4, 4)), data, sizes=[20, 40], method=method)
    assert [error.support for error in found.errors] == [20, 40]
    assert found.errors[-1].latent < 1e-5
    assert found.errors[-1].mapped < 1e-5
    torch.testing.assert_close(found.mapped, found.inputs, atol=1e-2, rtol=0)


class Narrow(Linear):
    """The first numbers of a rotation alone."""

    def __init__(self, seed, count):
        super().__init__(seed, (count,))
        self.turn = self.turn[:, :count]


def test_of_a_wider_target_a_map_is_compared_with_what_so_few_dimensions_hold(data):
    found = study_map(Narrow(0, 5), Linear(1), data, sizes=[60]).errors[0]
    train, held = (data.splits(name)[0].inputs.flatten(1).double() for name in ("train", "val"))
    mean = train.mean(0)
    axes = torch.linalg.svd(train - mean)[2][:5]
    kept = mean + (held - mean) @ axes.T @ axes
    assert found.own < 1e-10
    assert found.ratio is None
    assert found.cut == pytest.approx(float((kept - held).square().mean()), rel=1e-4)
    assert found.cut_ratio == pytest.approx(found.mapped / found.cut)
    assert found.mapped > found.cut
    few = study_map(Narrow(0, 5), Linear(1), data, sizes=[6], choice="random")
    assert few.errors[0].cut_ratio > 1.5
    assert "times the target's own error in 5 dimensions" in few.warning
    assert study_map(Narrow(0, 5), Linear(1), data, sizes=[20]).warning == ""


def test_a_target_that_is_no_wider_is_not_cut(data):
    found = study_map(Linear(0), Narrow(1, 5), data, sizes=[60]).errors[0]
    assert found.cut == found.own
    assert found.cut_ratio == found.ratio


def test_too_small_a_support_is_warned_of(data):
    found = study_map(Linear(0), Linear(1), data, sizes=[5])
    assert "--support 64" in found.warning
    assert found.errors[0].mapped > 10 * found.errors[0].own


def test_a_support_beyond_the_data_is_refused(data):
    for size in (1, 81):
        with pytest.raises(InputError, match="--support must be 2 to 80"):
            study_map(Linear(0), Linear(1), data, sizes=[size])


def test_runs_of_different_data_have_no_map():
    digits, moons = (
        SimpleNamespace(name="digits", shape=(1, 8, 8), mean=(0.3,)),
        SimpleNamespace(name="moons", shape=(2,)),
    )
    check_same_data(digits, digits)
    with pytest.raises(InputError, match="same data, got 'digits' of shape 1×8×8 and 'moons' of shape 2"):
        check_same_data(digits, moons)
    with pytest.raises(InputError, match="16×16"):
        check_same_data(digits, SimpleNamespace(name="digits", shape=(1, 16, 16)))


def test_a_support_has_no_example_twice_and_the_asked_size():
    for size in (3, 12, 30):
        chosen = maps.d_optimal(points(0, 30, 4), size)
        assert len(set(chosen.tolist())) == size


def test_pictures_are_drawn(data):
    codes, found = encoded(Linear(0), data, "val"), study_map(Linear(0), Linear(1), data, sizes=[20, 40])
    for picture in (draw_codes(codes), draw_mapping(found), draw_map_errors(found.errors)):
        assert picture.startswith(b"\x89PNG")


def test_a_plane_has_its_three_codes_at_its_corners():
    corners = points(0, 3, 4)
    plane = plane_codes(corners, 5)
    torch.testing.assert_close(plane[[0, 4, 20]], corners)


def test_of_two_classes_entanglement_says_nothing(data):
    codes = encoded(Linear(0), data, "train")
    two = type(codes)(codes.inputs, codes.targets.clamp(max=1), codes.values, ("a", "b"))
    assert edit(Linear(0), two, 1, two.values[:2], steps=2).entanglement is None
