import copy

import pytest
import torch
from torch import nn

from pendio.nn.convolution import Conv2d
from pendio.nn.fusion import fused, packed


def settled(module):
    """With statistics and scales as after training."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.affine:
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module.eval()


def normalizations(module):
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def check(module, shape, left=0, **options):
    module = settled(module)
    before = copy.deepcopy(module.state_dict())
    images = torch.randn(2, *shape)
    folded = fused(module, **options)
    torch.testing.assert_close(folded(images), module(images), atol=1e-5, rtol=1e-5)
    assert normalizations(folded) == left
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    return folded


@pytest.mark.parametrize("bias", [True, False])
def test_chains_are_folded_and_answer_the_same(bias):
    inner = nn.Sequential(nn.Conv2d(8, 8, 3, groups=4, bias=bias), nn.BatchNorm2d(8), nn.ReLU())
    check(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=bias), nn.BatchNorm2d(8), nn.LeakyReLU(0.1), inner), (3, 16, 16))


@pytest.mark.parametrize(
    ("convolution", "shape"),
    [(nn.Conv1d(3, 8, 3), (3, 16)), (nn.Conv3d(3, 8, 3), (3, 5, 6, 7)), (Conv2d(3, 8, 3, 2, "same"), (3, 9, 10))],
)
def test_every_dimension_and_padding_of_our_own_is_folded(convolution, shape):
    kind = {3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[convolution.weight.ndim]
    check(nn.Sequential(convolution, kind(8)), shape)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)

    def forward(self, images):
        return self.bn2(self.conv2(self.bn1(self.conv1(images)).relu()))


def test_named_pairs_are_folded_where_they_are_named():
    check(Named(), (3, 9, 9), left=2)
    check(Named(), (3, 9, 9), left=1, pairs=[("conv1", "bn1")])
    check(nn.Sequential(Named(), nn.ReLU()), (3, 9, 9), pairs=[("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3")])


class Doubled(nn.Conv2d):
    def forward(self, images):
        return self._conv_forward(images, 2 * self.weight, self.bias)


class Backwards(nn.Sequential):
    def forward(self, images):
        return self[0](self[1](images))


def twice():
    shared = nn.Conv2d(8, 8, 1)
    return nn.Sequential(shared, nn.BatchNorm2d(8), shared)


def watched():
    module = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
    module[0].register_forward_hook(lambda layer, inputs, output: output + 1)
    return module


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(Doubled(8, 8, 3), nn.BatchNorm2d(8)),
        Backwards(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)),
        nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8)),
        nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8, track_running_stats=False)),
        twice(),
        watched(),
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3)), nn.BatchNorm2d(8)),
    ],
)
def test_what_cannot_be_folded_is_left(module):
    check(module, (8, 6, 6), left=1)


def test_a_normalisation_without_scale_is_folded_too():
    check(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)), (3, 6, 6))


def test_a_normalisation_that_still_learns_is_left():
    module = settled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    module[1].train()
    assert normalizations(fused(module)) == 1


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match="eval"):
        fused(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))


def chain():
    inner = nn.Sequential(
        nn.Conv2d(8, 8, 1, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 3, padding="same"), nn.LeakyReLU(0.3)
    )
    return settled(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(0.1),
            nn.Conv2d(8, 8, 3, groups=2, dilation=2), nn.BatchNorm2d(8), inner,
        )
    )  # fmt: skip


def test_packed_kernels_answer_the_same_at_any_size():
    module = chain()
    ready = packed(module, torch.rand(1, 3, 32, 32))
    for shape in ((1, 3, 32, 32), (3, 3, 41, 24)):
        images = torch.randn(shape)
        torch.testing.assert_close(ready(images), module(images), atol=1e-5, rtol=1e-5)
    assert not any(part.requires_grad for part in ready.parameters())
    assert all(part.requires_grad for part in module.parameters())


def test_what_cannot_be_packed_still_answers():
    module = nn.Sequential(Doubled(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), twice()).eval()
    images = torch.randn(1, 3, 12, 12)
    torch.testing.assert_close(packed(module, images)(images), module(images))
    torch.testing.assert_close(packed(module.double(), images.double())(images.double()), module(images.double()))


def test_packing_is_for_inference():
    with pytest.raises(ValueError, match="eval"):
        packed(chain().train(), torch.rand(1, 3, 32, 32))
