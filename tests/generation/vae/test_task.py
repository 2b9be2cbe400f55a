import copy

import pytest
import torch

from pendio.data.examples import Examples
from pendio.errors import InputError
from pendio.generation.making import Latent, Maker
from pendio.generation.vae.likelihoods import Balanced, Bernoulli, Gaussian, Learned
from pendio.generation.vae.objective import Objective, kl_divergence

from .conftest import make_image_vae, make_vae, rows


def batch(inputs, first=0):
    return Examples(inputs, torch.zeros(len(inputs), dtype=torch.long), torch.arange(first, first + len(inputs)))


def measured(task, *batches):
    task.eval()
    for one in batches:
        task.measure(one)
    return task.metrics()


def test_the_loss_is_a_sum_over_features_and_a_mean_over_examples():
    task, inputs = make_vae(objective=Objective(beta=3.0)), rows(6)
    torch.manual_seed(5)
    total, weight = task.loss(batch(inputs))
    torch.manual_seed(5)
    mean, log_variance = task.encoder(inputs).chunk(2, 1)
    outputs = task.decoder(mean + (log_variance / 2).exp() * torch.randn(6, 2))
    nll = -torch.distributions.Normal(outputs, 0.5).log_prob(inputs).sum()
    assert weight == 6
    assert float(total) == pytest.approx(float(nll + 3 * kl_divergence(mean, log_variance).sum()), rel=1e-5)


def test_the_weight_of_the_divergence_rises_over_the_first_steps():
    task = make_vae(objective=Objective(beta=2.0, anneal=4))
    weights = []
    for _ in range(6):
        weights.append(float(task.objective.weight(task.step)))
        task.after_step()
    assert weights == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    assert int(task.state_dict()["step"]) == 6


def test_free_bits_cost_the_same_however_little_a_dimension_carries():
    objective = Objective(free_bits=0.5)
    assert float(objective.kl(torch.tensor([0.1, 0.4, 2.0]))) == pytest.approx(3.0)
    divergences = torch.tensor([0.1, 2.0], requires_grad=True)
    objective.kl(divergences).backward()
    assert divergences.grad.tolist() == [0, 1]


def test_training_and_validation_losses_are_the_same_sum():
    for objective in (Objective(beta=4.0), Objective(beta=2.0, anneal=10), Objective(free_bits=0.7)):
        task, inputs = make_vae(objective=objective), rows(20_000)
        total, weight = task.loss(batch(inputs))
        assert measured(task, batch(inputs))["loss"] == pytest.approx(float(total / weight), rel=5e-3)


def test_metrics_are_the_same_each_time_and_however_examples_are_batched():
    task, inputs = make_vae(), rows(8)
    state = torch.get_rng_state()
    first = measured(task, batch(inputs))
    assert measured(task, batch(inputs)) == first
    assert torch.equal(torch.get_rng_state(), state)
    halves = measured(task, batch(inputs[:4]), batch(inputs[4:], 4))
    assert halves["kl"] == pytest.approx(first["kl"], rel=1e-5)
    assert halves["mse"] == pytest.approx(first["mse"], rel=1e-5)
    assert first["elbo"] == pytest.approx(-first["nll"] - first["kl"])
    assert first["sigma"] == pytest.approx(0.5)


def test_active_dimensions_are_those_whose_mean_codes_move():
    task = make_vae(latent=3)
    task.encoder.weight.data[1] = 0
    assert measured(task, batch(rows(200)))["active"] == 2


def test_the_score_does_not_reward_a_divergence_that_has_no_weight_yet():
    early = make_vae(objective=Objective(beta=1.0, anneal=1000))
    late = make_vae(objective=Objective(beta=1.0))
    metrics = measured(early, batch(rows(50)))
    assert metrics["loss"] < measured(late, batch(rows(50)))["loss"]
    assert early.score(metrics) == late.score(measured(late, batch(rows(50))))


def test_codes_are_means_and_decoding_returns_to_the_data_s_units():
    task = make_vae(mean=[1.0, 2.0, 3.0, 4.0], std=[2.0, 1.0, 0.5, 0.0])
    inputs = rows(5)
    standard = (inputs - torch.tensor([1.0, 2, 3, 4])) / torch.tensor([2.0, 1, 0.5, 1])
    codes = task.encode(inputs)
    assert torch.allclose(codes, task.encoder(standard)[:, :2])
    expected = task.decoder(codes) * torch.tensor([2.0, 1, 0.5, 1]) + torch.tensor([1.0, 2, 3, 4])
    assert torch.allclose(task.decode(codes), expected, atol=1e-6)
    assert torch.equal(task.predict(inputs), task.decode(codes))


def test_bytes_and_floats_of_an_image_have_the_same_code():
    task = make_image_vae(Bernoulli())
    pixels = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    assert torch.allclose(task.encode(pixels), task.encode(pixels / 255))
    assert task.decode(task.encode(pixels)).shape == (3, 1, 8, 8)


@pytest.mark.parametrize("likelihood", [Gaussian(0.1, True), Learned(0.1, True), Balanced(0.1, True), Bernoulli()])
def test_samples_are_images_that_the_seed_decides(likelihood):
    task = make_image_vae(likelihood)
    assert isinstance(task, Maker)
    assert isinstance(task, Latent)

    def sample(seed, temperature=1.0):
        return task.sample(5, generator=torch.Generator().manual_seed(seed), temperature=temperature)

    assert sample(0).shape == (5, 1, 8, 8)
    assert 0 <= float(sample(0).min()) <= float(sample(0).max()) <= 1
    assert torch.equal(sample(0), sample(0))
    assert not torch.equal(sample(0), sample(1))
    assert torch.allclose(sample(0, 0.0), task.decode(torch.zeros(5, 3)))


def test_sampled_rows_vary_as_the_model_says_rows_do():
    task = make_vae(Gaussian(0.5, bounded=False), std=[1.0, 10.0, 1.0, 1.0], mean=[0.0, 5.0, 0.0, 0.0])
    made = task.sample(20_000, generator=torch.Generator().manual_seed(0))
    weights = task.decoder.weight.detach()
    # A linear VAE is probabilistic principal component analysis: Cov x = WWᵀ + σ²I.
    expected = torch.diag(weights @ weights.T) + 0.25
    torch.testing.assert_close(made.var(0) / torch.tensor([1.0, 100.0, 1.0, 1.0]), expected, rtol=0.05, atol=0)
    cold = task.sample(5, generator=torch.Generator().manual_seed(0), temperature=0.0)
    assert torch.allclose(cold, task.decode(torch.zeros(5, 2)), atol=1e-5)


def test_no_class_can_be_asked_for():
    with pytest.raises(InputError, match="learns without labels"):
        make_vae().sample(2, generator=torch.Generator(), labels=torch.tensor([0, 1]))


def test_a_second_stage_that_was_never_fitted_says_so():
    with pytest.raises(InputError, match="before the second stage was fitted; go on with --resume"):
        make_vae(components=3).sample(2, generator=torch.Generator())


def test_pictures_show_samples_and_held_out_images_and_touch_no_randomness():
    task = make_image_vae(Bernoulli())
    measured(task, batch(torch.rand(20, 1, 8, 8)))
    state = torch.get_rng_state()
    first = task.pictures()
    assert set(first) == {"samples", "reconstructions"}
    assert first == task.pictures()
    assert torch.equal(torch.get_rng_state(), state)
    assert make_vae().pictures() == {}


def test_only_learned_sigma_moves_faster_than_the_weights():
    task = make_vae(Learned(0.5, bounded=False))
    (player,) = task.players()
    rates = {parameter: factor for module, factor in zip(player.modules, player.lr_factors, strict=True)
             for parameter in module.parameters()}  # fmt: skip
    assert set(rates) == set(task.parameters())
    assert {factor for parameter, factor in rates.items() if parameter is not task.likelihood.log_sigma} == {1.0}
    assert rates[task.likelihood.log_sigma] > 1
    copy.deepcopy(task)
