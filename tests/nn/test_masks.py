import torch

from pendio.nn.masks import causal_mask, packed_mask, padding_mask


def test_a_query_sees_keys_up_to_its_own_place_and_the_last_query_all():
    assert causal_mask(3, 3).int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(1, 5).all()


def test_padding_is_seen_by_no_head_and_no_query():
    mask = padding_mask(torch.tensor([[True, True, False], [True, False, False]]))
    assert mask.shape == (2, 1, 1, 3)
    assert mask.expand(2, 4, 5, 3)[0, 3, 4].tolist() == [True, True, False]
    assert mask.expand(2, 4, 5, 3)[1, 0, 0].tolist() == [True, False, False]


def test_packed_sequences_are_blocks_on_the_diagonal():
    mask = packed_mask(torch.tensor([[0, 0, 1, 2, 2], [7, 7, 7, 7, 7]]))
    assert mask.shape == (2, 1, 5, 5)
    blocks = [torch.ones(2, 2), torch.ones(1, 1), torch.ones(2, 2)]
    assert torch.equal(mask[0, 0].float(), torch.block_diag(*blocks))
    assert mask[1].all()
