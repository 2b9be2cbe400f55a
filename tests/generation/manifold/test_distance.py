import json

import pytest
import torch

import pendio.data
from pendio.data.arrays import from_arrays
from pendio.errors import InputError
from pendio.exact.worlds import Gaussian
from pendio.generation.examples import open_examples
from pendio.generation.given import given
from pendio.generation.manifold.distance import fooling, mark, measure, natural, noisy, yardsticks
from pendio.recipes import network

from ...conftest import mistake


class Known:
    """A task that knows the density of a standard normal."""

    shape = (3,)

    def log_prob(self, inputs):
        return Gaussian(torch.zeros(3), torch.eye(3)).log_density(inputs)


@pytest.fixture(scope="module")
def rows():
    return from_arrays(torch.randn(400, 3, generator=torch.Generator().manual_seed(0)), [0, 1] * 200)


def test_a_density_measures_in_nats_a_dimension():
    stick = yardsticks(Known())["density"]
    inputs = torch.tensor([[0.0, 0, 0], [3, 0, 0]])
    half = 0.5 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(stick(inputs), torch.stack([half, half + 1.5]))


def test_noise_lies_farther_the_more_of_it_there_is(rows):
    real = natural(rows, 100)
    noise = torch.Generator().manual_seed(1)
    groups = [real, *(noisy(real.inputs, rows, level, noise) for level in (0.5, 2, 8))]
    near, *far = measure(yardsticks(Known()), groups)
    assert (near.group, near.auroc) == ("natural", None)
    told = [part.auroc for part in far]
    assert 0.5 < told[0] < told[1] < told[2]
    assert told[2] > 0.95


def test_a_single_input_is_placed_among_natural_ones(rows, tmp_path):
    (tmp_path / "own.csv").write_text("a,b,c\n0,0,0\n9,9,9\n")
    sticks = yardsticks(Known())
    found = measure(sticks, [natural(rows, 50)])
    inside, outside = mark(given([str(tmp_path / "own.csv")], (3,)), sticks, found)
    assert inside.farther["density"] == 0
    assert outside.farther["density"] == 1
    assert outside.name.endswith("own.csv:3")


def test_what_fools_is_compared_with_a_change_of_its_size(digits_run):
    images, seeing = natural(pendio.data.open("digits"), 60).inputs, network(str(digits_run.folder))
    groups, share = fooling(images, seeing, 0.2, generator=torch.Generator().manual_seed(0))
    fooled, control = (group.inputs for group in groups)
    assert len(fooled) == len(control) == round(share * 60) > 30
    away, origin = (fooled[:, None] - images).abs().flatten(2).amax(2).min(1)
    assert away.max() <= 0.2 + 1 / 255
    # Cut off at black and white a change is smaller, never larger.
    assert ((control - images[origin]).abs() <= (fooled - images[origin]).abs() + 2 / 255).all()
    taken = [seeing(part).argmax(1) for part in (images[origin], fooled, control)]
    assert (taken[1] != taken[0]).all()
    assert (taken[2] == taken[0]).float().mean() > 0.8


def test_a_classifier_of_another_size_is_fooled_too(digits_run):
    images, seeing = natural(open_examples("digits", size=16), 40).inputs, network(str(digits_run.folder))
    groups, share = fooling(images, seeing, 0.3, generator=torch.Generator().manual_seed(0))
    assert groups[0].inputs.shape[1:] == (1, 16, 16)
    assert share > 0.5


def test_the_command_draws_all_kinds(cli, compressed_run, digits_run, tmp_path):
    result = cli(
        "manifold", compressed_run.folder, "--classifier", digits_run.folder, "--epsilon", "0.2", "-n", 80, "--json"
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    told = {part["group"]: part["auroc"] for part in found["groups"]}
    assert list(told) == ["natural", "noise 0.1", "noise 0.3", "adversarial", "same change, random signs"]
    assert told["noise 0.3"] > told["noise 0.1"] > 0.5
    assert 0 < found["fooled"] <= 1
    assert (tmp_path / "manifold.png").read_bytes().startswith(b"\x89PNG")


def test_own_images_are_placed(cli, compressed_run):
    result = cli("manifold", compressed_run.folder, "coffee", "-n", 50)
    assert result.code == 0, result.err
    assert "coffee: reconstruction" in result.out
    assert "farther than 100% of natural examples" in result.out


def test_a_vae_measures_by_both(cli, narrow_vae_run):
    found = json.loads(cli("manifold", narrow_vae_run.folder, "-n", 20, "--noise", "0.3", "--json").out)
    assert {part["yardstick"] for part in found["groups"]} == {"reconstruction", "density"}
    assert min(part["auroc"] for part in found["groups"] if part["auroc"] is not None) > 0.8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-n", "1"], "--number must be 2 or more"),
        (["--noise", "0"], "--noise must be above 0"),
        (["--epsilon", "-1"], "epsilon"),
        (["missing.png"], "missing.png"),
    ],
)
def test_mistakes_cost_a_line(cli, compressed_run, digits_run, arguments, message):
    assert message in mistake(cli("manifold", compressed_run.folder, "--classifier", digits_run.folder, *arguments))


def test_a_classifier_has_learned_no_distribution(cli, digits_run):
    assert "learns no distribution" in mistake(cli("manifold", digits_run.folder))


def test_what_knows_neither_is_refused():
    with pytest.raises(InputError, match="neither a code smaller than an example nor a density"):
        yardsticks(object())


def test_predicting_says_how_far_and_draws_the_reconstruction(cli, narrow_vae_run, tmp_path):
    result = cli("predict", narrow_vae_run.folder, "coffee", "--json")
    assert result.code == 0, result.err
    (found,) = json.loads(result.out)
    assert found["reconstruction"] > 0
    assert found["density"] > 0
    assert (tmp_path / found["file"]).read_bytes().startswith(b"\x89PNG")
    assert "coffee: reconstruction" in cli("predict", narrow_vae_run.folder, "coffee").out


def test_any_layer_of_a_classifier_has_a_dimension(cli, digits_run):
    layer = next(name for name, part in network(str(digits_run.folder)).module.named_modules() if name.count(".") == 1)
    result = cli("dimension", "--features", digits_run.folder, "--layer", layer, "--most", 200, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["features"].endswith(f"layer {layer}")
    assert "no layer 'nowhere'" in mistake(cli("dimension", "--features", digits_run.folder, "--layer", "nowhere"))
    assert "--layer is one of a network" in mistake(cli("dimension", "--layer", layer))
