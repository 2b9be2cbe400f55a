import pytest
import torch

from pendio.data.annotations.boxes import BoxExamples
from pendio.descent.loop import evaluate, fit
from pendio.detection.boxes import iou, pairwise
from pendio.detection.options import DetectPlan
from pendio.detection.proposals.crops import moved
from pendio.detection.proposals.recipe import region_data, region_detector
from pendio.detection.proposals.regions import RegionExamples, smallest
from pendio.detection.proposals.selective_search import propose

from .squares import CLASSES, SIZE, squares_data


def untrained():
    return region_detector(CLASSES, SIZE, (0.45,) * 3, (0.2,) * 3, 0)


@pytest.fixture(scope="module")
def data():
    return squares_data(32, 12)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    task = untrained()
    plan = DetectPlan(epochs=10, batch=4, average="none", workers=0, lr=3e-3)
    run = fit(task, region_data(data, 0, False), plan, tmp_path_factory.mktemp("rcnn") / "run", progress=False)
    return task.eval(), run


def examples(labels, seed=0):
    labels = torch.tensor(labels)
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(2, *labels.shape, 2, generator=generator) * 30
    inputs = torch.randint(256, (len(labels), 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    regions = torch.cat([corners[0], corners[0] + corners[1] + 4], -1)
    return RegionExamples(inputs, regions, labels, torch.ones(*labels.shape, 4), torch.arange(len(labels)))


def test_it_learns_to_find_objects(trained, data):
    task, _ = trained
    metrics = evaluate(task, data.test, batch=8)
    assert metrics["map50"] > 0.9
    assert metrics["map"] > 0.7
    assert metrics["proposals_recall50"] == 1
    assert metrics["proposals_recall70"] <= 1
    assert 0.9 < metrics["proposals_overlap"] <= 1
    assert "region_accuracy" not in metrics
    assert set(task.by_class()) == set(CLASSES)
    assert task.by_class()["red"]["map50"] > 0.85


def test_while_learning_it_is_measured_on_regions(trained):
    _, run = trained
    first, last = run.history()[0], run.history()[-1]
    assert last["val_region_accuracy"] > 0.9
    assert last["val_loss"] < first["val_loss"]
    assert "val_map" not in last


def test_each_call_of_metrics_begins_anew(trained, data):
    task, _ = trained
    (batch,) = data.test.batches(12)
    first = evaluate(task, data.test)
    task.measure(type(batch)(*(column[:1] for column in batch)))
    assert task.metrics() != first
    assert evaluate(task, data.test) == first


def test_answers_lie_in_the_image_and_fall_in_score(trained, data):
    task, _ = trained
    batch = data.test.take(torch.arange(4))
    found = task.predict(batch.inputs)
    assert len(found) == 4
    for one in found:
        assert (one.boxes >= 0).all()
        assert (one.boxes <= SIZE).all()
        assert (one.scores[:-1] >= one.scores[1:]).all()
        assert one.labels.dtype == torch.long
    for alone, together in zip((task.predict(image[None])[0] for image in batch.inputs), found, strict=True):
        torch.testing.assert_close(alone.scores, together.scores)


def test_an_image_too_even_for_a_region_but_itself(trained):
    (found,) = trained[0].predict(torch.full((1, 3, SIZE, SIZE), 128, dtype=torch.uint8))
    assert (found.scores < 0.5).all()


def test_regions_that_are_missing_do_not_count():
    task = untrained().eval()
    whole, padded = examples([[0, 2, 1]]), examples([[0, 2, 1]])
    padded = padded._replace(
        regions=torch.cat([padded.regions, torch.zeros(1, 2, 4)], 1), labels=torch.tensor([[0, 2, 1, -1, -1]]),
        offsets=torch.cat([padded.offsets, torch.ones(1, 2, 4)], 1),
    )  # fmt: skip
    first, second = task.loss(whole), task.loss(padded)
    assert first.weight == second.weight == 3
    torch.testing.assert_close(first.total, second.total)


def test_only_objects_are_told_where_to_move():
    task = untrained().eval()
    objects, background = examples([[0, 1]]), examples([[2, 2]])
    far = torch.full((1, 2, 4), 5.0)
    assert task.loss(objects._replace(offsets=far)).total > task.loss(objects).total + 20
    torch.testing.assert_close(task.loss(background._replace(offsets=far)).total, task.loss(background).total)


def test_a_batch_without_any_region_moves_nothing():
    loss = untrained().loss(examples([[-1, -1], [-1, -1]]))
    loss.total.backward()
    assert loss.total == 0
    assert loss.weight == 1


def test_the_loss_of_a_network_that_knows_nothing_is_that_of_guessing():
    task = untrained().eval()
    for layer in (task.network.scores, task.network.moves):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    batch = examples([[0, 1, 2, 2]])
    # ln 3 a region, and ½ for each of the four numbers by which two objects are off by 1.
    expected = 4 * torch.log(torch.tensor(3.0)) + 2 * 4 * 0.5
    torch.testing.assert_close(task.loss(batch).total, expected)


def stubborn(scores, moves=(0.0,) * 4):
    """A detector that says the same of every region."""
    task = untrained().eval()
    for layer, bias in ((task.network.scores, scores), (task.network.moves, moves)):
        torch.nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor(bias)
    return task


def test_proposals_are_moved_as_the_network_says_and_cut_off_at_the_edges(data):
    image = data.test.take(torch.tensor([0])).inputs
    shift = torch.tensor([1.0, -2, 0.5, -0.5])
    task = stubborn([2.0, -9, 1], shift.tolist())
    task.overlap = 1.0
    proposals = propose(image[0], "single", smallest=smallest(SIZE)).boxes
    (found,) = task.predict(image)
    expected = moved(proposals, shift.expand(len(proposals), 4)).clamp(0, SIZE)
    torch.testing.assert_close(found.boxes.unique(dim=0), expected.unique(dim=0))
    assert found.scores.tolist() == pytest.approx([torch.tensor([2.0, -9, 1]).softmax(0)[0].item()] * len(found.scores))
    assert (found.labels == 0).all()


def test_where_all_is_background_nothing_is_found(data):
    (found,) = stubborn([0.0, 0, 9]).predict(data.test.take(torch.tensor([0])).inputs)
    assert len(found.scores) == 0


def test_boxes_of_a_class_do_not_overlap_much_and_those_of_two_classes_may(data):
    image = data.test.take(torch.tensor([1])).inputs
    (found,) = stubborn([1.0, 0.5, 0]).predict(image)
    for label in (0, 1):
        boxes = found.boxes[found.labels == label]
        assert pairwise(iou, boxes, boxes).triu(1).max() <= 0.3
    assert torch.equal(found.boxes[found.labels == 0], found.boxes[found.labels == 1])


def test_images_without_objects_are_measured(trained):
    task, _ = trained
    image = torch.full((1, 3, SIZE, SIZE), 128, dtype=torch.uint8)
    empty = BoxExamples(image, torch.zeros(1, 1, 4), torch.tensor([[-1]]), torch.zeros(1, 1, dtype=torch.bool),
                        torch.zeros(1, 1), torch.tensor([[SIZE, SIZE]]), torch.tensor([0]))  # fmt: skip
    task.measure(empty)
    metrics = task.metrics()
    assert metrics["map"] == -1
    assert "proposals_recall50" not in metrics
