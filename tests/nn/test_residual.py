import torch
from torch import nn

from pendio.nn.residual import Residual


def test_it_adds_the_branch_to_the_input_or_to_the_shortcut():
    images = torch.randn(2, 3, 4, 4)
    branch, shortcut = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)
    torch.testing.assert_close(Residual(branch)(images), images + branch(images))
    torch.testing.assert_close(Residual(branch, shortcut)(images), shortcut(images) + branch(images))


def test_the_gradient_passes_even_where_the_branch_is_dead():
    branch = nn.Conv2d(1, 1, 1)
    nn.init.zeros_(branch.weight)
    images = torch.randn(1, 1, 2, 2, requires_grad=True)
    Residual(branch)(images).sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))
