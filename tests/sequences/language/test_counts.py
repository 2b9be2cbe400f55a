import math
from collections import Counter

import numpy as np
import pytest

from pendio.errors import InputError
from pendio.sequences.language.counts import count_models


def by_hand(train, val, vocabulary, order, added):
    pairs = Counter(tuple(train[i - order : i + 1]) for i in range(order, len(train)))
    contexts = Counter(tuple(train[i - order : i]) for i in range(order, len(train)))
    nats = [
        -math.log((pairs[tuple(val[i - order : i + 1])] + added)
                  / (contexts[tuple(val[i - order : i])] + added * vocabulary))
        for i in range(order, len(val))
    ]  # fmt: skip
    return sum(nats) / len(nats)


def test_counting_is_as_by_hand():
    chance = np.random.default_rng(0)
    train, val = chance.integers(0, 5, 400), chance.integers(0, 5, 90)
    for model in count_models(train.astype(np.uint16), val.astype(np.uint16), 5, 3):
        losses = {added: by_hand(train.tolist(), val.tolist(), 5, model.order, added) for added in (1.0, 0.1, 0.01)}
        assert model.loss == pytest.approx(min(losses.values()), rel=1e-12)
        assert losses[model.added] == min(losses.values())
        assert model.bits == pytest.approx(model.loss / math.log(2))


def test_what_was_never_seen_is_possible_still():
    (only,) = count_models(np.array([0, 0, 0]), np.array([1, 1]), 2, 0)
    assert only.loss == pytest.approx(-math.log(1 / 5))
    assert only.added == 1.0


def test_a_source_of_order_two_is_told_by_contexts_of_two():
    """The next symbol is certain after two, and as good as a coin's toss after one."""
    chance = np.random.default_rng(1)
    tokens = [0, 1]
    for _ in range(4000):
        tokens.append(tokens[-2] ^ tokens[-1] if chance.random() < 0.9 else int(chance.integers(2)))
    found = count_models(np.array(tokens[:3500]), np.array(tokens[3500:]), 2, 2)
    entropy = -(0.95 * math.log(0.95) + 0.05 * math.log(0.05))
    assert found[2].loss == pytest.approx(entropy, abs=0.03)
    assert found[1].loss > found[2].loss + 0.1


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (-1, "--order must be 0 or more"),
        (30, "--order 30 is too long for a vocabulary of 5: at most 25"),
        (9, "--order 9 leaves nothing of the 9 tokens"),
    ],
)
def test_orders_that_cannot_be(order, message):
    with pytest.raises(InputError, match=message):
        count_models(np.arange(20) % 5, np.arange(9) % 5, 5, order)
