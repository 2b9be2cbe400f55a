import math

import pytest
import torch

from pendio.generation.vae.evidence import iwae

from .conftest import make_vae, rows


def estimate(task, inputs, samples, seed=0):
    return iwae(task, inputs, samples, generator=torch.Generator().manual_seed(seed))


def test_one_sample_is_the_bound_that_is_trained():
    task, inputs = make_vae(), rows(20_000)
    nll, divergences, _ = task.parts(inputs, torch.randn(20_000, 2, generator=torch.Generator().manual_seed(3)))
    bound = float(-(nll + divergences.sum(1)).detach().mean())
    assert float(estimate(task, inputs, 1).mean()) == pytest.approx(bound, rel=5e-3)


def test_the_estimate_comes_to_the_density_in_chunks_of_any_size(monkeypatch):
    task, inputs = make_vae().double(), rows(6).double()
    # A posterior near the prior: its weights vary little.
    task.encoder.weight.data *= 0.1
    task.encoder.bias.data.zero_()
    weight, bias = task.decoder.weight, task.decoder.bias
    covariance = weight @ weight.T + 0.25 * torch.eye(4).double()
    exact = torch.distributions.MultivariateNormal(bias, covariance).log_prob(inputs)
    assert torch.allclose(estimate(task, inputs, 4000), exact, atol=0.25)
    monkeypatch.setattr("pendio.generation.vae.evidence._CHUNK", 12)
    parts = estimate(task, inputs, 4000)
    assert parts.shape == (6,)
    assert torch.allclose(parts, exact, atol=0.25)


def test_each_example_is_encoded_once():
    task, calls = make_vae(), []
    task.encoder.register_forward_hook(lambda *parts: calls.append(len(parts[1][0])))
    estimate(task, rows(10), 5000)
    assert calls == [10]


def test_the_density_is_in_the_units_of_the_data():
    plain = make_vae()
    scaled = make_vae(mean=[5.0] * 4, std=[10.0] * 4)
    inputs = rows(5)
    expected = estimate(plain, inputs, 16) - 4 * math.log(10)
    assert torch.allclose(estimate(scaled, 10 * inputs + 5, 16), expected, atol=1e-3)
