import pytest
import torch

from pendio.nn.cache import Carried, KeyValues, LayerCache


def empty(rows=2, capacity=5):
    return LayerCache(torch.zeros(rows, 3, capacity, 4), torch.zeros(rows, 3, capacity, 2))


def test_what_goes_in_comes_out_in_order():
    cache, keys, values = empty(), torch.randn(2, 3, 5, 4), torch.randn(2, 3, 5, 2)
    for start, end in ((0, 2), (2, 3), (3, 5)):
        found = cache.append(keys[:, :, start:end], values[:, :, start:end])
        assert torch.equal(found[0], keys[:, :, :end])
        assert torch.equal(found[1], values[:, :, :end])
        assert cache.length == end


def test_a_full_cache_takes_nothing_in():
    cache = empty()
    cache.append(torch.ones(2, 3, 5, 4), torch.ones(2, 3, 5, 2))
    with pytest.raises(ValueError, match="a cache for 5 positions cannot take in 6"):
        cache.append(torch.ones(2, 3, 1, 4), torch.ones(2, 3, 1, 2))


def test_chosen_rows_go_their_own_ways():
    keys, values = torch.randn(2, 3, 1, 4), torch.randn(2, 3, 1, 2)
    cache = KeyValues([empty(), empty()], torch.tensor([[True] * 5, [False, *[True] * 4]]))
    for layer in cache.layers:
        layer.append(keys, values)
    chosen = cache.select(torch.tensor([1, 1, 0]))
    assert chosen.length == 1
    assert chosen.capacity == 5
    assert torch.equal(chosen.layers[1].keys[:, :, 0], keys[[1, 1, 0], :, 0])
    assert torch.equal(chosen.layers[1].values[:, :, 0], values[[1, 1, 0], :, 0])
    assert chosen.present[:, 0].tolist() == [False, False, True]
    chosen.layers[0].append(torch.ones(3, 3, 1, 4), torch.ones(3, 3, 1, 2))
    assert chosen.length == 2
    assert cache.length == 1
    assert not cache.layers[0].keys[:, :, 1].any()


def test_places_go_on_after_what_was_read_and_start_after_the_padding():
    cache = KeyValues([empty()])
    assert cache.places(3).tolist() == [0, 1, 2]
    cache.layers[0].append(torch.ones(2, 3, 2, 4), torch.ones(2, 3, 2, 2))
    assert cache.places(2).tolist() == [2, 3]
    cache.present = torch.tensor([[True] * 5, [False, False, True, True, True]])
    assert cache.places(2).tolist() == [[2, 3], [0, 1]]
    fresh = KeyValues([empty()], cache.present)
    assert fresh.places(4).tolist() == [[0, 1, 2, 3], [0, 0, 0, 1]]


def test_a_carried_state_selects_renews_and_cuts_gradients():
    hidden = torch.arange(6.0).view(3, 1, 2).requires_grad_()
    state = Carried([hidden * 2, hidden.sum((1, 2))])
    assert state.select(torch.tensor([2, 0, 2])).tensors[1].tolist() == [9, 1, 9]
    assert state.tensors[0].requires_grad
    assert not any(tensor.requires_grad for tensor in state.detach().tensors)
    fresh = Carried([torch.full((3, 1, 2), -1.0), torch.full((3,), -2.0)])
    renewed = state.renewed(torch.tensor([False, True, False]), fresh)
    assert renewed.tensors[0][:, 0].tolist() == [[0, 2], [-1, -1], [8, 10]]
    assert renewed.tensors[1].tolist() == [1, -2, 9]
