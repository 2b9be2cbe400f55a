import itertools

import pytest
import torch

from pendio.data.text.tokens import END, PAD, START
from pendio.nn.positions import sinusoidal
from pendio.nn.transformer import Form
from pendio.sequences.decoding.beam import beam_search
from pendio.sequences.translation.network import Translator

from .conftest import make_network, random_pairs

FORMS = [("sinusoidal", "pre"), ("learned", "post"), ("rotary", "pre")]


@pytest.mark.parametrize(("positions", "norm"), FORMS)
def test_a_token_never_sees_itself_nor_what_follows(positions, norm):
    network, pairs = make_network(positions, norm), random_pairs()
    written = pairs.targets[:, :-1]
    logits = network(pairs.inputs, written)
    for place in range(1, written.shape[1]):
        changed = written.clone()
        changed[:, place:] = 4 + (changed[:, place:] + 1) % 4
        again = network(pairs.inputs, changed)
        assert torch.equal(again[:, :place], logits[:, :place])
        assert not torch.allclose(again[:, place], logits[:, place])


@pytest.mark.parametrize(("positions", "norm"), FORMS)
def test_every_source_token_counts_for_every_target_token(positions, norm):
    network, pairs = make_network(positions, norm), random_pairs(rows=7)
    inputs, written = pairs.inputs[6:], pairs.targets[6:, :-1]
    assert (inputs != PAD).all()
    logits = network(inputs, written)
    for place in range(inputs.shape[1]):
        changed = inputs.clone()
        changed[:, place] = 4 + (changed[:, place] - 3) % 5
        assert ((network(changed, written) - logits).abs().amax(-1) > 1e-5).all()


@pytest.mark.parametrize(("positions", "norm"), FORMS)
def test_padding_changes_nothing(positions, norm):
    network, pairs = make_network(positions, norm), random_pairs()
    logits = network(pairs.inputs, pairs.targets[:, :-1])
    for row in range(len(pairs.inputs)):
        source = pairs.inputs[row : row + 1, : int((pairs.inputs[row] != PAD).sum())]
        written = pairs.targets[row : row + 1, : int((pairs.targets[row] != PAD).sum()) - 1]
        alone = network(source, written)
        torch.testing.assert_close(logits[row : row + 1, : written.shape[1]], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("positions", "norm"), FORMS)
def test_writing_step_by_step_is_the_same_as_computing_all_anew(positions, norm):
    network, pairs = make_network(positions, norm), random_pairs()
    written = network.greedy(pairs.inputs, 9)
    anew = torch.full((5, 1), START)
    for place in range(written.shape[1]):
        token = network(pairs.inputs, anew)[:, -1].argmax(-1)
        ended = (anew == END).any(1)
        assert torch.equal(written[:, place], token.masked_fill(ended, PAD))
        anew = torch.cat([anew, token[:, None]], 1)


def test_logits_of_several_steps_at_once_are_those_of_one_after_the_other():
    network, pairs = make_network(), random_pairs()
    with torch.no_grad():
        logits, state = network.begin(pairs.inputs, 9)
        steps, _ = network.step(pairs.targets[:, 1:4], state)
        whole = network(pairs.inputs, pairs.targets[:, :4])
    torch.testing.assert_close(torch.cat([logits[:, None], steps], 1), whole, rtol=1e-5, atol=1e-5)


def always(network, tokens):
    """Make the network write these tokens in this order, whatever it reads."""
    size = network.target.num_embeddings
    follows = torch.zeros(size, size)
    for before, after in itertools.pairwise(tokens):
        follows[before, after] = 9.0

    def step(written, state):
        return follows[written], state

    network.step = step


def test_greedy_writing_ends_when_all_rows_have_ended_and_pads_behind_the_end():
    network, pairs = make_network(), random_pairs()
    always(network, [START, 5, 4, END])
    assert network.greedy(pairs.inputs, 9).tolist() == [[5, 4, END]] * 5
    assert network.greedy(pairs.inputs, 2).tolist() == [[5, 4]] * 5
    steps = iter([[4, END, 5], [END, 6, 6], [6, 6, END]])

    def step(written, state):
        return torch.eye(8)[next(steps)][:, None], state

    network.step = step
    assert network.greedy(pairs.inputs[:3], 9).tolist() == [[4, END, PAD], [END, PAD, PAD], [5, 6, END]]


def test_one_beam_is_greedy_and_rows_may_change_places():
    network, pairs = make_network(), random_pairs()
    greedy = network.greedy(pairs.inputs, 9)
    with torch.no_grad():
        logits, state = network.begin(pairs.inputs, 9)
        found = beam_search(network.step, logits, state, beams=1, most=9, end=END)
        turned = beam_search(
            network.step, logits.flip(0), state.select(torch.tensor([4, 3, 2, 1, 0])), beams=1, most=9, end=END
        )
    expected = [[token for token in row if token not in (PAD, END)] for row in greedy.tolist()]
    assert [row[0].tokens for row in found] == expected
    assert [row[0].tokens for row in turned] == expected[::-1]


def test_attention_is_what_the_decoder_mixes_its_source_by():
    network, pairs = make_network(), random_pairs()
    written = pairs.targets[:, :-1]
    for layer in (0, 1):
        weights = network.attention(pairs.inputs, written, layer)
        assert weights.shape == (5, 2, 8, 7)
        torch.testing.assert_close(weights.sum(-1), torch.ones(5, 2, 8))
        assert (weights[(pairs.inputs == PAD)[:, None, None].expand_as(weights)] == 0).all()
        crossing = network.decoder.layers[layer].crossing
        mixed = []
        hook = crossing.join.register_forward_pre_hook(lambda _, inputs, mixed=mixed: mixed.append(inputs[0]))
        network(pairs.inputs, written)
        hook.remove()
        _, values = network.encode(pairs.inputs).read[layer]
        torch.testing.assert_close((weights @ values).transpose(1, 2).flatten(-2), mixed[0])
    assert torch.equal(network.attention(pairs.inputs, written), weights)
    with pytest.raises(IndexError):
        network.attention(pairs.inputs, written, 2)


def test_the_head_shares_the_target_embedding_alone():
    network = Translator(9, 8, Form(width=16, heads=2, layers=1, length=12))
    assert {name for name, weight in network.named_parameters() if len(weight) in (8, 9)} == {
        "source.weight", "target.weight",
    }  # fmt: skip
    torch.testing.assert_close(network.logits(torch.eye(16)), network.target.weight.T)


def test_embeddings_are_as_large_as_what_is_added_to_them():
    network, pairs = make_network(), random_pairs()
    read = []
    network.encoder.layers[0].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    network.decoder.layers[0].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    network(pairs.inputs, pairs.targets)
    for seen, embedding, tokens in zip(read, (network.source, network.target), pairs[:2], strict=True):
        expected = 4 * embedding.weight[tokens] + sinusoidal(torch.arange(tokens.shape[1]), 16)
        torch.testing.assert_close(seen, expected)
