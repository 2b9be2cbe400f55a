import pytest
import torch

from pendio.data.text.tokenizers import train_tokenizer
from pendio.runs.diagnosis import Diagnosis, Evidence, LayerStep
from pendio.sequences.diagnosis import (
    adapted,
    diagnose_training,
    exploding_over_time,
    learnt_tokens,
    overfitting,
    padding_waste,
    rare_tokens,
    saturated_states,
    unknown_tokens,
    vanishing_over_time,
)


def powers(factor, steps=100):
    return 3.0 * factor ** torch.arange(steps, dtype=torch.float64)


def test_a_gradient_that_falls_by_half_a_step_vanishes():
    found = vanishing_over_time(powers(0.5), "rnn")
    assert found.kind == "vanishing-over-time"
    assert "it reaches 6 steps back" in found.sentence
    assert "is 1 % of its largest 6 steps back" in found.evidence
    assert "99 steps back" in found.evidence
    assert found.flag == "--model lstm"
    assert vanishing_over_time(powers(0.5), "lstm").flag == "--model transformer"


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.5])
def test_one_that_falls_slowly_does_not(factor):
    assert vanishing_over_time(powers(factor), "rnn") is None


def test_ends_that_are_small_by_chance_do_not_vanish():
    norms = powers(1.0)
    norms[-1] = 0
    assert vanishing_over_time(norms, "rnn") is None


def test_it_is_the_far_end_that_counts_against_the_largest():
    norms = powers(1.0)
    norms[80:] = 1e-12
    assert "it reaches 79 steps back" in vanishing_over_time(norms, "rnn").sentence
    norms[0] = 1e-15
    assert vanishing_over_time(norms, "rnn") is not None


def test_a_gradient_that_grows_explodes():
    found = exploding_over_time(powers(1.1))
    assert found.kind == "exploding-over-time"
    assert found.flag == "--clip 0.5"
    for healthy in (powers(1.0), powers(1.02), powers(0.5)):
        assert exploding_over_time(healthy) is None


@pytest.mark.parametrize("rule", [lambda norms: vanishing_over_time(norms, "rnn"), exploding_over_time])
def test_short_sequences_and_no_gradient_tell_nothing(rule):
    for norms in (powers(0.01, 15), powers(100.0, 15), torch.zeros(50)):
        assert rule(norms) is None


def test_states_are_saturated_where_most_are():
    found = saturated_states([0.1, 0.9])
    assert found.kind == "saturated-states"
    assert "90% of the values of tanh in layer 1" in found.evidence
    assert saturated_states([0.7, 0.1]) is None
    assert saturated_states([]) is None


def history(losses, val_losses):
    rows = zip(losses, val_losses, strict=True)
    return [{"epoch": epoch, "loss": loss, "val_loss": val} for epoch, (loss, val) in enumerate(rows, 1)]


def test_what_gets_worse_at_new_data_overfits():
    found = overfitting(history([2.0, 1.5, 1.0, 0.5], [2.1, 1.8, 2.0, 2.4]))
    assert found.kind == "overfitting"
    assert found.evidence == ("from epoch 2 to 4 the training loss fell from 1.5 to 0.5, and the validation loss rose from "
                              "1.8 to 2.4")  # fmt: skip


@pytest.mark.parametrize(
    ("losses", "val_losses"),
    [
        ([2.0, 1.5, 1.0, 0.5], [2.1, 1.8, 1.7, 1.6]),
        ([2.0, 1.5, 1.0, 0.5], [2.1, 1.8, 1.7, 1.72]),
        ([2.0, 1.5, 1.6, 1.9], [2.1, 1.8, 1.9, 2.4]),
        ([2.0, 1.0], [2.0, 3.0]),
        ([1.0, 0.5, 0.0001], [0.001, 0.002, 0.003]),
        ([1.0, 0.5, 0.1], [1.0, 2.0, float("nan")]),
    ],
)
def test_what_does_not_get_worse_while_it_learns_does_not(losses, val_losses):
    assert overfitting(history(losses, val_losses)) is None


def test_a_vocabulary_that_is_too_large_is_told():
    counts = torch.tensor([0, 9, 9, 9, 9, 5, 4, 0, 3])
    learnt = torch.arange(9) > 0
    found = rare_tokens("bpe", counts, learnt)
    assert found.kind == "unused-vocabulary"
    assert found.evidence == "of 8 learnt tokens 3 (38%) are in the training text less than 5 times, 1 never"
    assert rare_tokens("words", counts, learnt) is not None
    assert rare_tokens("characters", counts, learnt) is None
    assert rare_tokens("file", counts, learnt) is None
    assert rare_tokens("bpe", torch.full((9,), 5), learnt) is None
    assert rare_tokens("bpe", counts, torch.zeros(9, dtype=torch.bool)) is None


def test_the_vocabulary_it_names_leaves_out_those_that_are_rare():
    counts = torch.cat([torch.full((60,), 50), torch.zeros(40)])
    assert rare_tokens("bpe", counts, torch.ones(100, dtype=torch.bool)).flag == "--vocabulary 60"


def test_marks_and_single_bytes_are_not_learnt():
    words = train_tokenizer("words", ["a dog and a cat and a dog"], marks=True)
    assert learnt_tokens(words).tolist() == [False] * 4 + [True] * (words.size - 4)
    pairs = train_tokenizer("bpe", ["the cat the cat the cat"], 260)
    assert [pairs.names[token] for token in learnt_tokens(pairs).nonzero()[:, 0].tolist()] == [
        name for name, piece in zip(pairs.names, pairs.pieces, strict=True) if len(piece) > 1
    ]
    assert 0 < int(learnt_tokens(pairs).sum()) <= 4


def test_text_that_is_unknown_is_told():
    found = unknown_tokens("words", 20, 1000)
    assert found.kind == "unknown-tokens"
    assert "20 of 1000 held-out tokens (2.0%)" in found.evidence
    assert unknown_tokens("words", 9, 1000) is None
    assert unknown_tokens("words", 0, 0) is None


def test_padding_is_told_where_it_is_a_third():
    found = padding_waste(0.4, 64)
    assert found.kind == "padding-waste"
    assert found.evidence == "40% of the tokens in batches of 64 are padding"
    assert found.flag == "--batch 16"
    assert padding_waste(0.2, 64) is None


def test_remedies_are_options_of_sequences():
    for kind in ("overfitting", "underfitting"):
        [found] = adapted([Diagnosis(kind, "s", "e", "fix", "--augment shift")])
        assert (found.sentence, found.evidence) == ("s", "e")
        assert "--augment" not in found.flag
        assert found.fix != "fix"
    kept = Diagnosis("lr-too-high", "s", "e", "fix", "--lr 1e-3")
    assert adapted([kept]) == [kept]


def steps(gradients, ratio=1e-3):
    return {str(n): LayerStep(1.0, gradient, ratio) for n, gradient in enumerate(gradients)}


def test_an_embedding_of_rare_tokens_is_no_vanishing_gradient():
    record = history([2.0, 1.9, 1.8], [2.0, 1.9, 1.8])
    assert diagnose_training(Evidence(record, [steps([1e-6, 1, 1, 1])] * 3)) == []


def test_a_high_rate_explains_the_rest():
    wild = history([2.0, 1.0, 30.0, 0.9], [2.0, 1.0, 3.0, 5.0])
    found = diagnose_training(Evidence(wild, [steps([1, 1, 1, 1], 0.5)] * 4))
    assert [one.kind for one in found] == ["lr-too-high"]
    assert [one.kind for one in diagnose_training(Evidence(history([2, 1.5, 1], [2, 3, 4])))] == ["overfitting"]
