"""Q-learning: its targets, its target network, and that a network can be a table."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pendio.reinforcement.networks import ActionValues, QTable
from pendio.reinforcement.values.dqn import DQN, QLearning, optimal_values
from pendio.reinforcement.values.replay import Sample
from pendio.reinforcement.worlds.environments import open_world


@pytest.fixture(scope="module")
def lake():
    return open_world("FrozenLake-v1", "is_slippery=false", discount=0.9)


@pytest.fixture(scope="module")
def cart():
    return open_world("CartPole-v1")


def sample(observations, actions, rewards, following, discounts, weights=None):
    size = len(actions)
    return Sample(
        torch.as_tensor(observations), torch.as_tensor(actions), torch.tensor(rewards, dtype=torch.float32),
        torch.as_tensor(following), torch.tensor(discounts, dtype=torch.float32),
        torch.ones(size) if weights is None else torch.tensor(weights), torch.arange(size),
    )  # fmt: skip


def table(rows):
    network = QTable(len(rows), len(rows[0]))
    with torch.no_grad():
        network.table.weight.copy_(torch.tensor(rows))
    return network


def small_dqn(world, online, target, **options):
    agent = DQN(world, table(online), **options)
    agent.target = table(target).requires_grad_(False)
    return agent


ONLINE = [[1.0, 5.0, 0.0, 0.0], [0.0, 2.0, 7.0, 0.0]]
TARGET = [[3.0, 4.0, 0.0, 0.0], [9.0, 6.0, 8.0, 0.0]]
ONE = sample([0], [1], [0.5], [1], [0.9])


def test_the_target_network_chooses_and_values_without_double(lake):
    agent = small_dqn(lake, ONLINE, TARGET, double=False, loss="squared")
    total, weight = agent.loss(ONE)
    assert float(agent.errors) == pytest.approx(0.5 + 0.9 * 9.0 - 5.0)
    assert float(total.detach()) == pytest.approx(0.5 * float(agent.errors) ** 2)
    assert weight == 1


def test_with_double_the_network_chooses_and_the_target_values(lake):
    agent = small_dqn(lake, ONLINE, TARGET, double=True, loss="squared")
    agent.loss(ONE)
    assert float(agent.errors) == pytest.approx(0.5 + 0.9 * 8.0 - 5.0)


def test_nothing_follows_a_terminal_state(lake):
    agent = small_dqn(lake, ONLINE, TARGET)
    agent.loss(ONE._replace(discounts=torch.zeros(1)))
    assert float(agent.errors) == pytest.approx(0.5 - 5.0)


def test_huber_is_squared_up_to_one_and_straight_beyond(lake):
    for reward, expected in ((1.4 - 8.1 + 5.0, 1.4 - 0.5), (0.4 - 8.1 + 5.0, 0.5 * 0.4**2)):
        agent = small_dqn(lake, ONLINE, TARGET, double=False, loss="huber")
        total, _ = agent.loss(ONE._replace(rewards=torch.tensor([reward])))
        assert float(total.detach()) == pytest.approx(expected, abs=1e-5)


def test_weights_weigh_and_losses_add_up_over_parts(lake):
    agent = small_dqn(lake, ONLINE, TARGET, loss="squared")
    whole = sample([0, 1, 0], [1, 2, 0], [0.5, 1.0, -1.0], [1, 0, 1], [0.9, 0.9, 0.0], [1.0, 0.5, 0.25])
    total, weight = agent.loss(whole)
    parts = [agent.loss(Sample(*(column[n : n + 1] for column in whole))) for n in range(3)]
    assert float(total.detach()) == pytest.approx(sum(float(part.total.detach()) for part in parts))
    assert weight == sum(part.weight for part in parts) == 3
    alone = agent.loss(Sample(*(column[1:2] for column in whole))._replace(weights=torch.ones(1)))
    assert float(parts[1].total.detach()) == pytest.approx(0.5 * float(alone.total.detach()))


def test_rewards_are_scaled_before_they_are_learned_from_and_expectations_back(lake):
    agent = small_dqn(lake, ONLINE, TARGET, double=False, reward_scale=10.0)
    agent.loss(ONE)
    assert float(agent.errors) == pytest.approx(5.0 + 0.9 * 9.0 - 5.0)
    assert agent.first_values(np.array([0, 1])) == pytest.approx([0.5, 0.7])


def test_only_the_network_moves_with_the_gradient(lake):
    agent = small_dqn(lake, ONLINE, TARGET)
    agent.loss(ONE).total.backward()
    gradient = agent.network.table.weight.grad
    assert gradient is not None
    assert gradient[0].tolist() == [0, -1, 0, 0]
    assert not gradient[1].any()
    (player,) = agent.players()
    assert player.modules == [agent.network]


def moved(agent):
    with torch.no_grad():
        for parameter in agent.network.parameters():
            parameter += 1.0
    agent.after_step()
    return float(next(agent.target.parameters()).detach().flatten()[0])


def test_the_target_network_is_made_equal_every_so_many_updates(lake):
    agent = DQN(lake, table(ONLINE), target_every=3)
    assert [moved(agent) for _ in range(7)] == [1, 1, 4, 4, 4, 7, 7]


def test_the_target_network_goes_on_counting_when_it_is_loaded(lake):
    first, second = (DQN(lake, table(ONLINE), target_every=3) for _ in range(2))
    moved(first), moved(first)
    second.load_state_dict(first.state_dict())
    assert moved(second) == 4


def test_the_target_network_follows_by_a_share(lake):
    agent = DQN(lake, table(ONLINE), polyak=0.25)
    assert moved(agent) == pytest.approx(1.25)
    assert moved(agent) == pytest.approx(1.25 + 0.25 * 1.75)


def test_a_dueling_network_takes_the_mean_off_its_advantages(cart):
    network = ActionValues(cart, (8,), dueling=True)
    seen = torch.randn(5, 4)
    values = network(seen)
    assert torch.allclose(values.mean(1, keepdim=True), network.value(network.body(seen)), atol=1e-6)
    with torch.no_grad():
        network.advantages.bias += 3.0
    assert torch.allclose(network(seen), values, atol=1e-5)


def test_transitions_of_one_pair_share_one_step(lake):
    agent = QLearning(lake)
    batch = sample([0, 0, 4], [2, 2, 1], [1.0, 3.0, 5.0], [1, 1, 8], [0.9, 0.9, 0.9])
    total, weight = agent.loss(batch)
    (total / weight).backward()
    gradient = agent.network.table.weight.grad
    assert gradient[0, 2] == -2.0
    assert gradient[4, 1] == -5.0
    assert int((gradient != 0).sum()) == 2


def test_of_equal_actions_the_first_is_taken(lake):
    assert QLearning(lake).act(np.array([0, 5])).tolist() == [0, 0]


def test_the_error_counts_only_states_that_can_come_up(lake):
    agent = QLearning(lake, discount=0.9)
    optimal = optimal_values(lake)
    assert np.isnan(optimal[[5, 7, 11, 12, 15]]).all()
    with torch.no_grad():
        agent.network.table.weight.copy_(torch.from_numpy(np.nan_to_num(optimal, nan=50.0)))
    agent.measure((torch.arange(4),))
    metrics = agent.metrics()
    assert metrics["q_error"] < 1e-6
    assert metrics["exact_return"] == metrics["return"] == 1.0
    assert metrics["discounted"] == pytest.approx(0.9**5)
    assert metrics["expected"] == pytest.approx(0.9**5)


def test_the_exact_return_decides_which_table_is_kept(lake):
    agent = QLearning(lake)
    better = agent.score({"exact_return": 0.7, "q_error": 0.5, "return": 0.2, "return_sd": 0.0})
    worse = agent.score({"exact_return": 0.6, "q_error": 0.1, "return": 0.9, "return_sd": 0.0})
    nearer = agent.score({"exact_return": 0.7, "q_error": 0.4, "return": 0.1, "return_sd": 0.0})
    assert nearer > better > worse


def test_frames_pass_through_convolutions_and_small_ones_are_refused():
    from dataclasses import replace

    from pendio.errors import InputError

    cart = open_world("CartPole-v1")
    frames = replace(cart, kind="frame", shape=(1, 84, 84), dtype=np.dtype(np.uint8))
    network = ActionValues(frames, (32,), stack=4)
    seen = torch.randint(256, (2, 4, 84, 84), dtype=torch.uint8)
    assert network(seen).shape == (2, 2)
    assert sum(parameter.numel() for parameter in network.body[1].parameters()) == 4 * 32 * 64 + 32
    with pytest.raises(InputError, match="too small"):
        ActionValues(replace(frames, shape=(1, 30, 84)), (32,))


def test_a_linear_network_has_no_hidden_layer(cart):
    network = ActionValues(cart, ())
    assert [type(module) for module in network.modules() if not list(module.children())].count(nn.Linear) == 1
    assert math.prod(network.advantages.weight.shape) == 8
