"""What must hold for every attack."""

from dataclasses import replace

import pytest
import torch

from pendio.ascent.attacks.goal import Goal
from pendio.ascent.reading import fingerprint
from pendio.errors import InputError


def half():
    """A mask of the upper half."""
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    mask[:, :, :4] = 1
    return mask


def check_bounds(attacked, epsilon, norm, mask=None):
    """Images are in [0, 1], within their budget, did move, and only within the mask."""
    apart = (attacked.images - attacked.originals).flatten(1)
    length = apart.abs().amax(1) if norm == "linf" else apart.norm(dim=1)
    assert 0 <= float(attacked.images.min()) <= float(attacked.images.max()) <= 1
    assert float(length.max()) <= epsilon * (1 + 1e-6) + 1e-9
    assert float(length.max()) > 0.5 * epsilon
    if mask is not None:
        outside = mask.expand_as(attacked.images) == 0
        assert torch.equal(attacked.images[outside], attacked.originals[outside])


def check_singles(attack, network, images, goal):
    """A batch gives what its images give alone."""
    together = attack(network, images, goal)
    for row in range(len(images)):
        alone = attack(network, images[row : row + 1], replace(goal, classes=goal.classes[row : row + 1]))
        assert bool(alone.reached[0]) == bool(together.reached[row])
        assert int(alone.queries[0]) == int(together.queries[row])
        torch.testing.assert_close(alone.images[0], together.images[row], atol=1e-5, rtol=0)


def check_reached(attack, network, images, goal):
    """What is called reached is, and nothing else; all classes were right before."""
    attacked = attack(network, images, goal)
    with torch.no_grad():
        taken = network(attacked.images).argmax(1)
    there = taken == goal.classes if goal.targeted else taken != goal.classes
    assert torch.equal(there, attacked.reached)
    return attacked


def check_untouched(attack, network):
    """The network is as before, and the random numbers of torch as well."""
    images = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    before, state = fingerprint(network), torch.get_rng_state()
    first = attack(network, images, Goal(torch.tensor([0, 1, 2])))
    assert fingerprint(network) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.images, attack(network, images, Goal(torch.tensor([0, 1, 2]))).images)


def check_overflow(attack, network):
    """A pixel that the network cannot take is told in one line."""
    images = torch.full((2, 1, 4, 4), 0.5)
    images[1, 0, 0, 1] = 0
    with pytest.raises(InputError, match="not finite .*for image 2: the network overflows there"):
        attack(network, images, Goal(torch.tensor([0, 0])))
