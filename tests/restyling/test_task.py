import pytest
import torch

import pendio
from pendio.ascent.reading import fingerprint
from pendio.data.examples import Data, Examples, Resident
from pendio.descent.plan import Plan
from pendio.restyling.network import Restyler
from pendio.restyling.perception import Perception
from pendio.restyling.task import Restyle, Weights

from .conftest import make_eye, random_images


def make_task(weights=Weights(1.0, 2.0, 0.5), network=None):  # noqa: B008  (frozen)
    torch.manual_seed(0)
    return Restyle(
        Restyler(width=4, blocks=1), Perception(network or make_eye(), random_images(1, 24, 24), (3, 16, 16)), weights
    )


def batch_of(images):
    return Examples(images, torch.zeros(len(images), dtype=torch.long), torch.arange(len(images)))


def make_data(count=20):
    images = (random_images(count, seed=3) * 255).to(torch.uint8)
    split = Resident(images, torch.zeros(count, dtype=torch.long))
    return Data("noise", split, split, None, ("image",), (3, 16, 16), (0.5,) * 3, (0.25,) * 3)


def test_the_loss_weighs_what_is_seen():
    task, images = make_task(Weights(3.0, 5.0, 7.0)), random_images(4, seed=1)
    seen = task.perception(task.restyler(images), images)
    expected = 3 * seen.content + 5 * seen.style + 7 * seen.roughness
    total, weight = task.loss(batch_of(images))
    assert weight == 4
    torch.testing.assert_close(total, expected.sum())


def test_metrics_are_means_over_images_however_they_are_batched():
    task, images = make_task(), random_images(11, seed=1)
    with torch.no_grad():
        seen = task.perception(task.restyler(images), images)
        for part in images.split([9, 2]):
            task.measure(batch_of(part))
    metrics = task.metrics()
    assert metrics["content"] == pytest.approx(float(seen.content.mean()), rel=1e-5)
    assert metrics["style"] == pytest.approx(float(seen.style.mean()), rel=1e-5)
    expected = float((seen.content + 2 * seen.style + 0.5 * seen.roughness).mean())
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)
    assert task.score({"loss": 1.0}) > task.score({"loss": 2.0})


def test_bytes_floats_and_grey_images_are_understood():
    task, bytes_ = make_task(), (random_images(2) * 255).to(torch.uint8)
    torch.testing.assert_close(task.predict(bytes_), task.predict(bytes_.float() / 255))
    grey = bytes_[:, :1]
    assert torch.equal(task.predict(grey), task.predict(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("average", ["none", "ema"])
def test_training_moves_and_keeps_the_restyler_alone(tmp_path, average):
    network = make_eye()
    before, task = fingerprint(network), make_task(network=network)
    plan = Plan(epochs=6, batch=5, lr=5e-3, average=average)
    run = pendio.fit(task, make_data(), plan, tmp_path / "run", progress=False)
    assert fingerprint(network) == before, "the loss network was changed"
    assert set(run.weights("last")) == {f"restyler.{name}" for name in task.restyler.state_dict()}
    losses = [record["val_loss"] for record in run.history()]
    assert losses[-1] < 0.8 * losses[0]


def test_without_a_perception_there_is_nothing_to_judge_by():
    task = Restyle(Restyler(width=4, blocks=0))
    assert task.predict(random_images(1)).shape == (1, 3, 16, 16)
    with pytest.raises(ValueError, match="only predicts"):
        task.loss(batch_of(random_images(1)))
