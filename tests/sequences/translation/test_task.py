import pytest
import torch

from pendio.data.text.pairs import Pairs, open_pairs
from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.nn.transformer import Form
from pendio.sequences.translation.network import Translator
from pendio.sequences.translation.task import Translate

from .conftest import make_task, random_pairs, write_pairs


@torch.no_grad()
def by_hand(task, pairs, smoothing):
    """The loss of each pair's tokens, one probability at a time."""
    losses = []
    for row in range(len(pairs.inputs)):
        source = pairs.inputs[row][pairs.inputs[row] != 0][None]
        target = pairs.targets[row][pairs.targets[row] != 0]
        for place in range(1, len(target)):
            logs = task.network(source, target[None, :place])[0, -1].double().log_softmax(0).tolist()
            share = smoothing / len(logs)
            losses.append(sum(-(share + (1 - smoothing) * (token == int(target[place]))) * log
                              for token, log in enumerate(logs)))  # fmt: skip
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_the_loss_is_the_smoothed_cross_entropy_of_each_token_given_those_before(smoothing):
    task, pairs = make_task(label_smoothing=smoothing), random_pairs()
    losses = by_hand(task, pairs, smoothing)
    total, weight = task.loss(pairs)
    assert int(weight) == len(losses) == int((pairs.targets != 0).sum()) - len(pairs.targets)
    assert total.item() == pytest.approx(sum(losses), rel=1e-5)


def test_parts_of_a_batch_add_up_to_the_whole():
    task, pairs = make_task(label_smoothing=0.1), random_pairs()
    whole = task.loss(pairs)
    parts = [task.loss(Pairs(*(column[chosen] for column in pairs))) for chosen in ([0, 3], [1, 2, 4])]
    assert sum(part.total.item() for part in parts) == pytest.approx(whole.total.item(), rel=1e-5)
    assert sum(int(part.weight) for part in parts) == int(whole.weight)


def test_metrics_are_of_tokens_and_of_whole_targets_and_know_no_smoothing():
    task, pairs = make_task(label_smoothing=0.5), random_pairs(rows=9)
    written = task.network.greedy(pairs.inputs, 9)
    # Three targets are what greedy decoding writes, so that it gets them exactly; the others differ from it.
    targets = pairs.targets.clone()
    targets[:3] = 0
    targets[:3, 0] = 1
    targets[:3, 1:] = torch.nn.functional.pad(written, (0, 8 - written.shape[1]))[:3, :8]
    pairs = Pairs(pairs.inputs, targets, pairs.indices)
    greedy = torch.nn.functional.pad(written, (0, 8))[:, :8]
    exact = [bool((greedy[row] == targets[row, 1:]).all()) for row in range(9)]
    assert sum(exact) == 3
    logits = task.network(pairs.inputs, targets[:, :-1])
    right = (logits.argmax(-1) == targets[:, 1:])[targets[:, 1:] != 0]
    with torch.no_grad():
        for part in ([0, 1, 2, 3, 4], [5, 6], [7, 8]):
            padded = torch.nn.functional.pad(pairs.targets[part], (0, 1 + len(part) % 3))
            task.measure(Pairs(pairs.inputs[part], padded, pairs.indices[part]))
    metrics = task.metrics()
    losses = by_hand(task, pairs, 0.0)
    assert metrics["exact"] == pytest.approx(3 / 9)
    assert metrics["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(float(right.float().mean()))
    with torch.no_grad():
        task.measure(Pairs(*(column[:3] for column in pairs)))
    assert task.metrics()["exact"] == 1, "what was measured counts once"


def test_exact_translations_count_more_than_the_loss():
    task = make_task()
    better = {"exact": 0.9, "loss": 2.0, "accuracy": 0.1}
    assert task.score(better) > task.score({"exact": 0.8, "loss": 1.0, "accuracy": 0.9})
    assert task.score(better) > task.score({**better, "loss": 2.1})


def test_predictions_do_not_depend_on_their_company():
    task = make_task()
    texts = ["abc", " e", "deadbeda\n", "b"]
    assert task.predict(texts) == [task.predict([text])[0] for text in texts]
    assert task.predict([]) == []


@pytest.mark.parametrize("average", ["none", "ema"])
def test_resuming_goes_on_to_the_bit(tmp_path, average):
    data = open_pairs(write_pairs(tmp_path / "pairs.tsv"), length=12)

    def walk(folder, epochs, resume=False):
        torch.manual_seed(0)
        form = Form(width=16, heads=2, layers=1, length=12, dropout=0.1)
        task = Translate(Translator(data.source.size, data.target.size, form), data.source, data.target, 0.1)
        plan = Plan(epochs=epochs, batch=16, schedule="inverse-root", warmup=0.5, average=average)
        return fit(task, data, plan, tmp_path / folder, resume, progress=False)

    whole = walk("whole", 3)
    walk("parts", 1)
    parts = walk("parts", 3, resume=True)
    assert len(parts.history()) == 3
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["ab", " \t"], "text 2 is empty: there is nothing to translate"),
        (["abcdeabcdeabc"], "text 1, 'abcdeabcdeabc', has 13 tokens, and the translator reads 12 at most"),
        (["a", "bad fox"], "text 2, 'bad fox', has ' ', 'f', 'o', 'x', which the translator never saw"),
        (["fghijkl"], "has 'f', 'g', 'h', 'i', 'j' …, which the translator never saw"),
        (["ab\ud800"], "which the translator never saw"),
    ],
)
def test_what_cannot_be_translated_is_refused(texts, message):
    with pytest.raises(InputError) as error:
        make_task().predict(texts)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_longest_text_that_is_read_can_be_translated():
    assert len(make_task().predict(["abcdeabcdeab"])) == 1


def test_what_is_unknown_is_no_obstacle_to_those_who_learnt_from_it():
    task = make_task(knows_unknown=True)
    assert task.predict(["axb"]) == task.predict(["ayb"])
    assert make_task().encode(["axb"], allow_unknown=True).row(0).tolist()[1] == task.source.unknown
