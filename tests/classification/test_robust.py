import pytest
import torch

import pendio
import pendio.data
from pendio.ascent.attacks.goal import Goal
from pendio.ascent.attacks.gradient import PGD
from pendio.ascent.reading import fingerprint
from pendio.classification.options import Classify
from pendio.classification.robust import Adversary
from pendio.errors import InputError

from ..conftest import mistake

EPSILON = 0.15


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """A network that was trained on the worst images, and one that was not."""
    folder, made = tmp_path_factory.mktemp("robust"), {}
    for name, radius in (("plain", 0.0), ("robust", EPSILON)):
        options = {"data": "digits", "model": "lenet", "epochs": 8, "lr": 0.005, "adversarial": radius}
        run = pendio.train("classify", progress=False, out=str(folder / name), **options)
        made[name] = pendio.load(run.folder).network
    return made


def test_what_learnt_from_the_worst_images_withstands_them(networks):
    examples = pendio.data.open("digits").split("test").take(torch.arange(120))
    left = {}
    for name, network in networks.items():
        attacked = PGD(epsilon=EPSILON, steps=10, eight_bit=False)(network, examples.inputs, Goal(examples.targets))
        left[name] = 1 - float(attacked.reached.float().mean())
    assert left["robust"] > left["plain"] + 0.25
    assert float((networks["robust"](examples.inputs).argmax(1) == examples.targets).float().mean()) > 0.85


def test_the_worst_image_is_worse_near_and_leaves_the_network(networks):
    network = networks["plain"].train()
    examples = pendio.data.open("digits").val.take(torch.arange(20))
    before = fingerprint(network)
    worst = Adversary(EPSILON, 5)(network, examples.inputs, examples.targets)
    assert fingerprint(network) == before
    network.eval()
    losses = [
        torch.nn.functional.cross_entropy(network(images), examples.targets) for images in (examples.inputs, worst)
    ]
    assert losses[1] > losses[0] + 0.5
    assert (worst - examples.inputs).abs().max() <= EPSILON + 1e-6
    assert 0 <= worst.min() <= worst.max() <= 1
    assert not worst.requires_grad


def test_bytes_of_another_size_are_fitted_first():
    lite0 = pendio.load("efficientnet-lite0")
    worst = Adversary(0.01, 1)(lite0, torch.zeros(1, 3, 40, 40, dtype=torch.uint8), torch.tensor([3]))
    assert worst.shape == (1, 3, 224, 224)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adversarial": -0.1}, "--adversarial must be in [0, 1), got -0.1"),
        ({"adversarial": 0.1, "adversarial_steps": 0}, "--adversarial-steps must be at least 1"),
        ({"adversarial": 0.1, "augment": "flip,mixup"}, "mixup and cutmix mix them"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(InputError) as error:
        Classify(**options)
    assert message in str(error.value)


def test_points_have_no_worst_images(cli):
    assert "is for images, and 'moons' has none" in mistake(
        cli("train", "classify", "--data", "moons", "--model", "mlp", "--adversarial", 0.1)
    )
