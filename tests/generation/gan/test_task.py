import copy

import pytest
import torch

from pendio.errors import InputError
from pendio.generation.gan import task as room
from pendio.generation.gan.games import r1_penalties
from pendio.generation.making import Latent, Maker

from .conftest import make_batch, make_gan


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gradients(module):
    return [None if parameter.grad is None else parameter.grad.clone() for parameter in module.parameters()]


def test_it_makes_examples_and_has_a_latent_space():
    game = make_gan()
    assert isinstance(game, Maker)
    assert isinstance(game, Latent)
    made = game.sample(5, generator=generator())
    assert made.shape == (5, 1, 8, 8)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert torch.equal(made, game.sample(5, generator=generator()))
    assert game.decode(torch.randn(3, *game.latent)).shape == (3, 1, 8, 8)


@pytest.mark.parametrize("changes", [(), ("color", "translation", "cutout")])
@pytest.mark.parametrize("rules", [{}, {"game": "wasserstein", "penalty": 10.0}, {"game": "hinge", "r1": 1.0}])
def test_each_turn_gives_gradients_to_its_own_player_alone(rules, changes):
    game = make_gan(changes=changes, **rules)
    batch = make_batch()
    game.loss(batch).total.backward()
    assert all(gradient is None for gradient in gradients(game.generator))
    # A Wasserstein loss does not depend on the last bias.
    assert sum(gradient is not None for gradient in gradients(game.discriminator)) >= 7
    game.zero_grad()
    game.generator_loss(batch).total.backward()
    assert all(gradient is not None for gradient in gradients(game.generator))
    assert all(gradient is None for gradient in gradients(game.discriminator))
    assert all(parameter.requires_grad for parameter in game.parameters())


def test_the_generator_waits_while_the_critic_takes_its_turns():
    game = make_gan(critic_steps=3)
    moves = []
    for _ in range(7):
        game.zero_grad()
        game.generator_loss(make_batch()).total.backward()
        moves.append(all(gradient is not None for gradient in gradients(game.generator)))
        game.after_step()
    assert moves == [True, False, False, True, False, False, True]
    again = make_gan(critic_steps=3)
    again.carry(game.carried())
    again.generator_loss(make_batch()).total.backward()
    assert all(gradient is None for gradient in gradients(again.generator))


def test_penalties_add_to_the_loss_of_the_discriminator_as_written():
    batch, losses = make_batch(), {}
    for name, rules in {"plain": {}, "one": {"r1": 1.0}, "two": {"r1": 2.0}, "penalty": {"penalty": 3.0}}.items():
        torch.manual_seed(0)
        losses[name] = float(make_gan(**rules).loss(batch).total.detach())
    assert losses["two"] - losses["plain"] == pytest.approx(2 * (losses["one"] - losses["plain"]), rel=1e-3)
    game = make_gan()
    r1 = float(r1_penalties(lambda images: game.judge(images, None), game.prepare(batch.inputs)).sum().detach()) / 2
    assert losses["one"] - losses["plain"] == pytest.approx(4 * r1, rel=1e-3)
    assert losses["penalty"] > losses["plain"]


def test_the_penalty_at_real_examples_has_its_weight_in_the_mean_over_steps():
    batch, added = make_batch(), []
    calm, plain = make_gan(r1=3.0), make_gan()
    for _ in range(8):
        losses = []
        for game in (calm, plain):
            torch.manual_seed(0)
            losses.append(float(game.loss(batch).total.detach()))
            game.after_step()
        added.append(losses[0] - losses[1])
    r1 = float(r1_penalties(lambda images: plain.judge(images, None), plain.prepare(batch.inputs)).sum().detach())
    assert sum(added) / 8 == pytest.approx(3 / 2 * r1, rel=1e-3)
    assert sum(value != 0 for value in added) == 2


def test_bytes_and_floats_are_the_same_images():
    game, images = make_gan(), torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(game.prepare(images), game.prepare(images / 255))
    assert (float(game.prepare(torch.zeros(1, 1, 8, 8)).max()), float(game.prepare(torch.ones(1, 1, 8, 8)).min())) == (
        -1,
        1,
    )
    torch.testing.assert_close(game.restore(game.prepare(images)), images / 255)


def measured(game, batch):
    game.eval()
    with torch.no_grad():
        game.measure(batch)
        return game.metrics()


def test_scores_are_the_same_again_whatever_the_global_generator_does():
    game = make_gan(changes=("color",))
    first = measured(game, make_batch(30))
    torch.rand(7)
    assert measured(game, make_batch(30)) == first
    state = torch.get_rng_state()
    measured(game, make_batch(30))
    game.pictures()
    assert torch.equal(torch.get_rng_state(), state)


def test_measuring_leaves_running_statistics_and_the_mode_as_they_are():
    game = make_gan().train()
    before = {name: value.clone() for name, value in game.state_dict().items()}
    with torch.no_grad():
        game.measure(make_batch(20))
        game.metrics()
    assert game.training
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())


def test_a_generator_of_one_image_has_no_diversity_and_scores_worse_than_one_of_the_data(monkeypatch):
    game, batch = make_gan(), make_batch(200)
    game.components.fit(game.prepare(batch.inputs))
    other = torch.cat([batch.inputs, batch.inputs, batch.inputs])[:512]
    monkeypatch.setattr(room.Gan, "generate", lambda self, codes: self.prepare(other[: len(codes)]))
    good = measured(game, batch)
    monkeypatch.setattr(
        room.Gan, "generate", lambda self, codes: self.prepare(other[:1]).expand(len(codes), -1, -1, -1)
    )
    bad = measured(game, batch)
    assert bad["diversity"] == pytest.approx(0, abs=1e-3)
    assert good["diversity"] == pytest.approx(1, abs=0.05)
    assert good["kernel"] < 0.1 < bad["kernel"]
    assert game.score(good) > game.score(bad)


def test_accuracy_is_one_where_the_discriminator_knows_and_a_half_where_it_guesses(monkeypatch):
    game, batch = make_gan(), make_batch(512)
    monkeypatch.setattr(room.Gan, "judge", lambda self, x, classes: x.flatten(1).mean(1))
    monkeypatch.setattr(room.Gan, "generate", lambda self, codes: -torch.ones(len(codes), 1, 8, 8))
    sure = measured(game, batch)
    assert sure["accuracy"] == 1
    assert sure["gap"] > 0.5
    monkeypatch.setattr(room.Gan, "generate", lambda self, codes: self.prepare(batch.inputs))
    guessing = measured(game, batch)
    assert guessing["accuracy"] == pytest.approx(0.5, abs=0.01)
    assert guessing["gap"] == pytest.approx(0, abs=1e-4)


def test_a_single_held_out_example_is_no_reason_to_fail():
    metrics = measured(make_gan(), make_batch(1))
    assert metrics["kernel"] == float("inf")


def test_classes_are_drawn_as_often_as_the_data_has_them_or_as_asked():
    game = make_gan(classes=3)
    game.shares.copy_(torch.tensor([0.5, 0.5, 0.0]))
    drawn = game.codes(1000, generator())[:, 4:]
    assert game.latent == (7,)
    assert drawn.sum(0).tolist() == pytest.approx([500, 500, 0], abs=60)
    asked = torch.tensor([2, 0, 1])
    assert torch.equal(game.codes(3, generator(), asked)[:, 4:].argmax(1), asked)


@pytest.mark.parametrize("labels", [torch.tensor([0, 3]), torch.tensor([0, -1]), torch.tensor([0])])
def test_classes_that_there_are_not_are_refused(labels):
    with pytest.raises(InputError, match="2 labels from 0 to 2 are expected"):
        make_gan(classes=3).sample(2, generator=generator(), labels=labels)


def test_a_gan_without_classes_says_so():
    with pytest.raises(InputError, match="--conditional"):
        make_gan().sample(2, generator=generator(), labels=torch.tensor([0, 1]))


def test_a_lower_temperature_is_less_various():
    game = make_gan()
    spread = [game.sample(50, generator=generator(), temperature=t).std(0).mean() for t in (1.0, 0.3, 0.0)]
    assert spread[0] > spread[1] > spread[2]
    assert float(spread[2]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("classes", [0, 2])
def test_what_a_generator_made_is_found_again(classes):
    game = make_gan(classes)
    with torch.no_grad():
        for parameter in game.generator.parameters():
            parameter *= 3
    game.eval()
    images = game.sample(4, generator=generator(5))
    before = copy.deepcopy(game.state_dict())
    found = game.predict(images)
    worse = game.decode(game.invert(images, steps=1, restarts=1))
    errors = [(made - images).square().flatten(1).mean(1) for made in (found, worse)]
    assert float(errors[0].max()) < 1e-3
    assert float(errors[0].mean()) < float(errors[1].mean()) / 5
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items())
    assert torch.equal(game.encode(images), game.encode(images))


def test_more_restarts_are_never_worse():
    game = make_gan().eval()
    images = make_batch(5).inputs
    errors = [
        (game.decode(game.invert(images, steps=20, restarts=restarts)) - images).square().flatten(1).sum(1)
        for restarts in (1, 4)
    ]
    assert bool((errors[1] <= errors[0] + 1e-5).all())


@pytest.mark.parametrize("options", [{"steps": 0}, {"restarts": 0}])
def test_an_inversion_without_steps_or_restarts_is_refused(options):
    with pytest.raises(InputError, match="at least 1 step and 1 restart"):
        make_gan().invert(make_batch(2).inputs, **options)


def test_examples_are_compared_in_full_precision_though_all_else_is_halved():
    gan, batch = make_gan(), make_batch()
    gan.components.fit(gan.prepare(batch.inputs))
    exact = gan.components(gan.prepare(batch.inputs))
    with torch.autocast("cpu", torch.bfloat16):
        halved = gan.components(gan.prepare(batch.inputs))
    assert halved.dtype == torch.float32
    torch.testing.assert_close(halved, exact)
