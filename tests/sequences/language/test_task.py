import math

import pytest
import torch
import torch.nn.functional as F

from pendio.data.text.tokenizers import ByteTokenizer, train_tokenizer
from pendio.data.text.windows import TokenWindows, Windows
from pendio.descent.loop import evaluate
from pendio.nn.cache import Carried
from pendio.sequences.architecture import FAMILIES, Architecture
from pendio.sequences.language.task import Language, summary
from pendio.sequences.models.bodies import build_body
from pendio.sequences.models.language_model import LanguageModel

TEXT = "so it goes, and so it went; and on it went: é so it goes. " * 20


def task_of(family, tokenizer=None, **options):
    torch.manual_seed(1)
    tokenizer = tokenizer or train_tokenizer("characters", [TEXT])
    architecture = Architecture(model=family, width=16, heads=2, layers=2, window=3, **options)
    body = build_body(architecture, 16, 24)
    return Language(LanguageModel(tokenizer.size, body, 16, scale=4.0), tokenizer).eval()


def batch_of(tokens, fresh):
    return Windows(tokens[:, :-1], tokens[:, 1:], torch.full((len(tokens),), fresh))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_sum_of_cross_entropies_and_their_number(family):
    task = task_of(family)
    tokens = torch.randint(1, 10, (3, 9))
    loss = task.loss(batch_of(tokens, True))
    logits = task.model(tokens[:, :-1])[0]
    by_hand = -sum(
        logits[row, step].log_softmax(0)[tokens[row, step + 1]] for row in range(3) for step in range(8)
    )  # fmt: skip
    assert loss.total.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert loss.weight == 24


@pytest.mark.parametrize("family", ["window", "rnn", "lstm", "tcn"])
def test_a_window_goes_on_where_the_one_before_ended(family):
    task = task_of(family)
    tokens = torch.randint(1, 10, (2, 17))
    whole = task.loss(batch_of(tokens, True)).total
    parts = task.loss(batch_of(tokens[:, :9], True)).total + task.loss(batch_of(tokens[:, 8:], False)).total
    assert float(parts) == pytest.approx(float(whole), rel=1e-5)
    anew = task.loss(batch_of(tokens[:, :9], True)).total + task.loss(batch_of(tokens[:, 8:], True)).total
    assert float(anew) != pytest.approx(float(whole), rel=1e-5)


def test_the_gradient_stops_at_the_border_of_windows():
    task = task_of("lstm").train()
    tokens = torch.randint(1, 10, (2, 17))
    task.loss(batch_of(tokens[:, :9], True))
    assert all(not tensor.requires_grad for tensor in task.carried().values())
    task.loss(batch_of(tokens[:, 8:], False)).total.backward()
    assert task.model.embedding.weight.grad is not None


def test_what_is_carried_can_be_saved_and_taken_up():
    task, tokens = task_of("lstm"), torch.randint(1, 10, (2, 17))
    task.loss(batch_of(tokens[:, :9], True))
    saved = {name: tensor.clone() for name, tensor in task.carried().items()}
    expected = task.loss(batch_of(tokens[:, 8:], False)).total
    other = task_of("lstm")
    other.carry(saved)
    assert torch.equal(other.loss(batch_of(tokens[:, 8:], False)).total, expected)
    assert task_of("transformer").carried() == {}


def test_only_fresh_rows_begin_anew():
    task, tokens = task_of("rnn"), torch.randint(1, 10, (2, 17))
    task.loss(batch_of(tokens[:, :9], True))
    state = task._state(task._before, torch.tensor([True, False]))
    assert torch.equal(state.tensors[0][0], torch.zeros_like(state.tensors[0][0]))
    assert not torch.equal(state.tensors[0][1], torch.zeros_like(state.tensors[0][1]))


def uniform_task(tokenizer):
    task = task_of("window", tokenizer)
    torch.nn.init.zeros_(task.model.embedding.weight)
    return task


def test_a_model_that_knows_nothing_has_the_entropy_of_the_vocabulary():
    task = uniform_task(ByteTokenizer())
    tokens = torch.from_numpy(ByteTokenizer().encode(TEXT))
    metrics = evaluate(task, TokenWindows(tokens, 7, carried=True), batch=4)
    assert metrics["loss"] == pytest.approx(math.log(256), rel=1e-6)
    assert metrics["perplexity"] == pytest.approx(256, rel=1e-5)
    assert metrics["bits_per_byte"] == pytest.approx(8, rel=1e-6)


def test_bits_a_byte_count_the_bytes_of_what_was_predicted():
    tokenizer = train_tokenizer("characters", [TEXT])
    task, tokens = uniform_task(tokenizer), torch.from_numpy(tokenizer.encode(TEXT))
    metrics = evaluate(task, TokenWindows(tokens, 7, carried=True), batch=4)
    bits = (len(TEXT) - 1) * math.log2(tokenizer.size)
    assert metrics["bits_per_byte"] == pytest.approx(bits / len(TEXT[1:].encode()), rel=1e-6)


@pytest.mark.parametrize("family", ["lstm", "window"])
def test_held_out_text_is_read_in_one_go(family):
    """Measured in windows of 7 in one lane, each token is given all before it."""
    task = task_of(family)
    tokens = torch.from_numpy(task.tokenizer.encode(TEXT)).long()
    metrics = evaluate(task, TokenWindows(tokens, 7, carried=True), batch=1)
    logits = task.model(tokens[None, :-1])[0][0]
    rest = (len(tokens) - 1) % 7  # the last window begins anew
    nats = F.cross_entropy(logits, tokens[1:], reduction="none")
    fresh = F.cross_entropy(
        task.model(tokens[None, len(tokens) - 1 - rest : -1])[0][0], tokens[-rest:], reduction="sum"
    )
    expected = float(nats[: len(nats) - rest].sum() + fresh) / len(nats)
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)


def test_measuring_leaves_what_training_carries_alone():
    task, tokens = task_of("lstm"), torch.randint(1, 10, (2, 9))
    task.loss(batch_of(tokens, True))
    before = {name: tensor.clone() for name, tensor in task.carried().items()}
    task.measure(batch_of(torch.randint(1, 10, (5, 9)), True))
    assert all(torch.equal(task.carried()[name], tensor) for name, tensor in before.items())


def test_large_vocabularies_are_measured_in_parts(monkeypatch):
    import pendio.sequences.language.task as module

    task, tokens = task_of("lstm"), torch.randint(1, 10, (6, 9))
    whole, _ = task.surprise(batch_of(tokens, True))
    monkeypatch.setattr(module, "_LOGITS_AT_ONCE", 1)
    parts, _ = task.surprise(batch_of(tokens, True))
    assert torch.allclose(whole.nats, parts.nats, atol=1e-6)
    assert torch.equal(whole.hits, parts.hits)


def test_metrics_of_sums():
    metrics = summary(nats=4 * math.log(2), hits=1, tokens=4, size=8)
    assert metrics == pytest.approx({"loss": math.log(2), "perplexity": 2, "bits_per_byte": 0.5, "accuracy": 0.25})


def test_a_lower_loss_is_a_better_score():
    task = task_of("rnn")
    assert task.score({"loss": 1.0}) > task.score({"loss": 2.0})


def test_a_state_of_other_rows_is_not_taken_up():
    task = task_of("lstm")
    task.carry({"0": torch.ones(5, 2, 16), "1": torch.ones(5, 2, 16)})
    state = task._state(task._before, torch.tensor([False, False]))
    assert isinstance(state, Carried)
    assert len(state.tensors[0]) == 2
    assert not state.tensors[0].any()
