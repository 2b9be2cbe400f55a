import pytest
import torch
from torch import nn

from pendio.nn.convolution import CausalConv1d, Conv2d


@pytest.mark.parametrize("side", [5, 6, 7, 8])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_keeps_a_place_for_each_stride(side, kernel, stride, dilation):
    layer = Conv2d(1, 1, kernel, stride, "same", dilation)
    assert layer(torch.zeros(1, 1, side, side + 1)).shape[2:] == (-(-side // stride), -(-(side + 1) // stride))


def test_other_paddings_are_torchs():
    torch.manual_seed(0)
    ours = Conv2d(2, 4, 3, 2, 1, groups=2)
    theirs = nn.Conv2d(2, 4, 3, 2, 1, groups=2)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 2, 9, 9)
    assert torch.equal(ours(images), theirs(images))
    assert Conv2d(1, 1, 3)(torch.zeros(1, 1, 5, 5)).shape == (1, 1, 3, 3)


def test_a_stack_of_causal_layers_sees_exponentially_far_and_never_ahead():
    torch.manual_seed(0)
    stack = nn.Sequential(*(CausalConv1d(1, 1, 2, dilation=2**depth) for depth in range(4)))
    for layer in stack:
        nn.init.constant_(layer.weight, 1.0)
    times = torch.zeros(1, 1, 40, requires_grad=True)
    stack(times)[0, 0, 30].backward()
    seen = times.grad[0, 0].nonzero()[:, 0]
    assert (seen.min(), seen.max()) == (30 - 15, 30)
