import numpy as np
import pytest

from pendio.reinforcement.adapter import Predictor
from pendio.reinforcement.agent import play
from pendio.reinforcement.worlds.environments import open_world

from . import worlds
from .worlds import Rule, always, opened


def evaluated(model, environments, episodes):
    """Episodes played as evaluation tools play them: a vector of environments, states handed on, resets at once."""
    count = len(environments)
    seen = np.stack([environment.reset(seed=number)[0] for number, environment in enumerate(environments)])
    states, starts = None, np.ones(count, dtype=bool)
    returns, lengths, done = np.zeros(count), np.zeros(count, dtype=int), []
    while len(done) < episodes:
        actions, states = model.predict(seen, state=states, episode_start=starts, deterministic=True)
        for number, environment in enumerate(environments):
            observation, reward, terminated, truncated, _ = environment.step(actions[number])
            returns[number] += reward
            lengths[number] += 1
            starts[number] = terminated or truncated
            if starts[number]:
                done.append((returns[number], lengths[number]))
                returns[number] = lengths[number] = 0
                observation = environment.reset()[0]
            seen[number] = observation
    return done


def test_an_agent_scores_the_same_elsewhere():
    world = open_world("Acrobot-v1")
    agent = Rule(world, lambda seen: (seen[:, 4] + seen[:, 5] / 2 > 0).astype(int) * 2)
    done = evaluated(Predictor(agent), [world.make()], 1)
    played = play(agent.act, world, [0])
    assert done == [(played.returns[0], played.lengths[0])]
    assert played.terminated[0]


def test_the_real_evaluation_accepts_it():
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    world = open_world("CartPole-v1", limit=100)
    agent = Rule(world, lambda seen: (seen[:, 2] + seen[:, 3] > 0).astype(int))
    mean, sd = evaluation.evaluate_policy(Predictor(agent), world.make(), n_eval_episodes=5, warn=False)
    assert (mean, sd) == (100.0, 0.0)


def test_one_observation_gets_one_action():
    world = open_world("CartPole-v1")
    predictor = Predictor(Rule(world, lambda seen: (seen[:, 0] > 0).astype(int)))
    action, state = predictor.predict(np.array([1.0, 0, 0, 0], np.float32))
    assert (action, np.shape(action), state) == (1, (), None)
    actions, state = predictor.predict(np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0]], np.float32), "kept")
    assert (actions.tolist(), state) == ([1, 0], "kept")
    assert world.make().action_space.contains(action)


def test_states_are_numbers():
    predictor = Predictor(Rule(open_world("Taxi-v4"), lambda seen: seen % 6))
    assert predictor.predict(13)[0] == 1
    assert predictor.predict(np.array([13, 14]))[0].tolist() == [1, 2]


def test_vectors_are_within_their_bounds():
    world = opened(worlds.Continuous)
    predictor = Predictor(Rule(world, lambda seen: np.tile([[9.0, -9.0]], (len(seen), 1))))
    assert predictor.predict(np.zeros(2))[0].tolist() == [1.0, 0.0]
    assert predictor.predict(np.zeros((3, 2)))[0].tolist() == [[1.0, 0.0]] * 3
    (done,) = evaluated(predictor, [world.make()], 1)
    assert done == (5.0, 5)


def test_several_frames_are_handed_on_and_never_cross_episodes():
    world, seen = opened(worlds.Frames, "length=2"), []

    def rule(observations):
        seen.append(observations[:, ::3, 0, 0].tolist())
        return np.zeros(len(observations), np.int64)

    assert evaluated(Predictor(Rule(world, rule, stack=3)), [world.make(), world.make()], 4) == [(3.0, 2)] * 4
    assert seen == [[[0, 0, 0]] * 2, [[0, 0, 1]] * 2, [[100] * 3] * 2, [[100, 100, 101]] * 2]
    played = []
    play(
        lambda observations: played.append(observations[:, ::3, 0, 0].tolist()) or np.zeros(2, np.int64),
        world,
        [0, 1],
        stack=3,
    )
    assert played == seen[:2]


def test_a_single_observation_of_several_frames():
    world = opened(worlds.Frames)
    predictor = Predictor(Rule(world, lambda seen: seen[:, -1, 0, 1].astype(int), stack=2))
    frame = np.zeros((3, 4, 5), np.uint8)
    frame[2] = np.arange(5)
    action, state = predictor.predict(frame)
    assert (action, state.shape) == (1, (1, 6, 4, 5))
    assert predictor.predict(frame + 1, state, [False])[1][0, [0, 3], 0, 0].tolist() == [0, 1]
    assert predictor.predict(frame + 1, state, [True])[1][0, [0, 3], 0, 0].tolist() == [1, 1]
    assert predictor.predict(frame + 1, state)[1][0, [0, 3], 0, 0].tolist() == [0, 1]


def test_it_calls_the_agent_once_a_step():
    calls = []
    agent = Rule(opened(worlds.Counting), lambda seen: calls.append(len(seen)) or always(0)(seen))
    evaluated(Predictor(agent), [agent.world.make() for _ in range(3)], 3)
    assert calls == [3] * 5
