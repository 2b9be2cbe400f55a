import copy
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pendio.data.examples import Examples
from pendio.descent.loop import evaluate
from pendio.nn.network import Network
from pendio.segmentation.losses import MapLoss
from pendio.segmentation.task import Segmenter

from .conftest import CLASSES, batch_of, make_data, make_task


def test_the_loss_is_that_of_the_networks_logits():
    task, batch = make_task(), batch_of(ignored=True)
    loss = task.eval().loss(batch)
    logits = task.network(batch.inputs)
    assert float(loss.weight) == (batch.targets != 255).sum()
    expected = F.cross_entropy(logits, batch.targets.long(), ignore_index=255)
    assert float(loss.total.detach() / loss.weight) == pytest.approx(float(expected.detach()))


def test_parts_of_a_batch_add_up_to_the_whole_however_unequal():
    task, batch = make_task(loss=MapLoss("focal", [0.5, 1.0, 2.0])).eval(), batch_of(ignored=True)
    whole = task.loss(batch)
    parts = [task.loss(Examples(*(column[span] for column in batch))) for span in (slice(0, 1), slice(1, 4))]
    assert float(sum(part.total for part in parts).detach()) == pytest.approx(float(whole.total.detach()), rel=1e-5)
    assert float(sum(part.weight for part in parts)) == pytest.approx(float(whole.weight))


def test_what_is_measured_does_not_depend_on_the_batches():
    task, data = make_task().eval(), make_data()
    one = evaluate(task, data.train, batch=24)
    confusion = task.last["confusion"].clone()
    other = evaluate(task, data.train, batch=5)
    assert one == pytest.approx(other, rel=1e-5)
    assert torch.equal(confusion, task.last["confusion"])
    assert set(one) == {"miou", "pixel_accuracy", "weighted_iou", "boundary_f1", "loss"}


def test_a_trained_task_finds_the_shapes(trained):
    metrics = evaluate(trained, make_data().val)
    assert metrics["miou"] > 0.85
    assert trained.score(metrics) > trained.score({"miou": 0.5, "pixel_accuracy": 1.0})
    assert trained.last["iou"].shape == (3,)


def test_answers_are_class_numbers_of_images_of_any_size(trained):
    batch = batch_of(2)
    made = trained.predict(batch.inputs)
    assert (made.dtype, tuple(made.shape)) == (torch.uint8, (2, 32, 32))
    assert torch.equal(made, trained.predict(batch.inputs.float() / 255))
    assert trained.predict(batch.inputs[:, :, :21, :29]).shape == (2, 21, 29)


class Standing(nn.Module):
    """A head on a body with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, images):
        return self.head(self.encoder(images))


def standing(body_lr):
    network = Network(Standing(), (3, 32, 32), (0.5,) * 3, (0.2,) * 3, CLASSES)
    return Segmenter(network, body="encoder", body_lr=body_lr)


def test_the_body_learns_at_its_own_rate():
    task = standing(0.3)
    [player] = task.players()
    assert list(player.modules) == [task.network.module.encoder, task.network.module.head]
    assert list(player.lr_factors) == [0.3, 1.0]
    [plain] = standing(1.0).players()
    assert not list(plain.lr_factors)


def test_a_frozen_body_stays_as_it_is_with_its_statistics():
    task = standing(0.0).train()
    before = copy.deepcopy(task.state_dict())
    [player] = task.players()
    optimizer = torch.optim.SGD([p for module in player.modules for p in module.parameters()], 0.1)
    task.loss(batch_of()).total.backward()
    optimizer.step()
    after = task.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"network.module.head.weight", "network.module.head.bias"}


def test_only_the_network_is_saved():
    task = make_task(loss=MapLoss("ce", [1.0, 2.0, 3.0]))
    assert all(name.startswith("network.") for name in task.state_dict())
    assert type(OrderedDict(task.state_dict())) is OrderedDict
