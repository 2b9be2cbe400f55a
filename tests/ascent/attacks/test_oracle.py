import pytest
import torch
from torch import nn

from pendio.ascent.attacks.goal import Goal
from pendio.ascent.attacks.oracle import Hunt, Oracle
from pendio.ascent.canvas import Pixels
from pendio.ascent.reading import fingerprint
from pendio.errors import InputError
from pendio.nn.network import Network


class Recorder(nn.Module):
    """Answers with the mean and its negative, and remembers how many images came each time."""

    def __init__(self):
        super().__init__()
        self.batches = []
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.batches.append(len(images))
        mean = self.scale * images.flatten(1).mean(1, keepdim=True)
        return torch.cat([mean, -mean], 1)


def network(channels=1, side=4):
    return Network(Recorder(), (channels, side, side), [0.0] * channels, [1.0] * channels, ("light", "dark"))


def test_logits_come_back_in_order_and_every_image_is_counted_on_its_account():
    asked = network()
    images, rows = torch.rand(1300, 1, 4, 4), torch.arange(1300) % 7
    oracle = Oracle(asked, Pixels(), 8, budget=200)
    logits = oracle.ask(images, rows)
    torch.testing.assert_close(logits[:, 0], images.flatten(1).mean(1))
    assert oracle.queries.tolist() == [186, 186, 186, 186, 186, 185, 185, 0]
    assert sum(asked.module.batches) == 1300
    assert oracle.left(torch.tensor([5, 6])) == 15
    assert oracle.left(torch.tensor([5, 0])) == 14, "what all of them may still ask"
    assert oracle.left(torch.tensor([], dtype=torch.long)) == 0


def test_what_would_exceed_an_images_budget_is_refused_before_the_network_runs():
    asked = network()
    oracle = Oracle(asked, Pixels(), 2, budget=5)
    oracle.ask(torch.rand(5, 1, 4, 4), torch.tensor([0, 0, 0, 0, 1]))
    with pytest.raises(ValueError, match="budget"):
        oracle.ask(torch.rand(3, 1, 4, 4), torch.tensor([1, 0, 0]))
    assert asked.module.batches == [5]
    assert oracle.queries.tolist() == [4, 1]
    oracle.ask(torch.rand(5, 1, 4, 4), torch.tensor([1, 1, 0, 1, 1]))
    assert oracle.queries.tolist() == [5, 5]


def test_large_images_go_through_few_at_a_time():
    asked = network(3, 512)
    oracle = Oracle(asked, Pixels(), 1, budget=100)
    oracle.ask(torch.rand(1, 3, 512, 512).expand(25, -1, -1, -1), torch.zeros(25, dtype=torch.long))
    assert sum(asked.module.batches) == 25
    assert max(asked.module.batches) * 3 * 512 * 512 <= 2**23


def test_the_network_is_left_as_it_was():
    asked = network().train()
    before = fingerprint(asked)
    Oracle(asked, Pixels(), 1, budget=9).ask(torch.rand(9, 1, 4, 4), torch.zeros(9, dtype=torch.long))
    assert fingerprint(asked) == before


def test_a_hunt_keeps_the_nearest_candidate_of_each_image_and_drops_those_that_are_done():
    asked = network()
    asked.module.scale.data.fill_(2.0)
    images = torch.full((3, 1, 4, 4), 0.75)
    # To be taken for dark, a mean below 0 would be needed: only the second goal can be reached.
    hunt = Hunt(asked, Pixels(), images, Goal(torch.tensor([0, 1, 0])), 10, "float32")
    levels = torch.tensor([0.5, 0.25, 0.375]).view(1, 3, 1, 1, 1).expand(3, 3, 1, 4, 4)
    margins, stay = hunt.ask(levels)
    assert margins.tolist() == [[-2.0, -1.0, -1.5], [2.0, 1.0, 1.5], [-2.0, -1.0, -1.5]]
    assert stay.tolist() == [True, False, True]
    assert hunt.active.tolist() == [0, 2]
    assert hunt.reached.tolist() == [False, True, False]
    hunt.ask(levels[:2, :1])
    assert hunt.found[:, 0, 0, 0].tolist() == [0.25, 0.5, 0.25], "what is worse is not kept"
    assert hunt.queries.tolist() == [4, 3, 4]
    margins, _ = hunt.ask(levels[:2].repeat(1, 3, 1, 1, 1))
    assert margins.shape == (2, 6), "as many as the budget allows"
    assert hunt.queries.tolist() == [10, 3, 10]
    assert hunt.left == 0


def test_a_budget_must_be_positive():
    with pytest.raises(InputError, match=r"--budget must be at least 1 query an image, got 0"):
        Oracle(network(), Pixels(), 1, budget=0)
