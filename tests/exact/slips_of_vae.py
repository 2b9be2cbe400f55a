"""Slips of the pen in variational autoencoders, and the row that must notice each."""

import torch


def the_divergence_forgets_its_half(patch):
    from pendio.generation.vae import objective, task

    original = objective.kl_divergence
    for module in (objective, task):
        patch.setattr(module, "kl_divergence", lambda mean, log_variance: 2 * original(mean, log_variance))


def the_divergence_takes_variance_for_its_logarithm(patch):
    from pendio.generation.vae import objective

    patch.setattr(
        objective, "kl_divergence", lambda mean, variance: 0.5 * (mean**2 + variance.exp().square() - 1 - 2 * variance)
    )


def noise_is_scaled_by_the_variance(patch):
    from pendio.generation.vae import task

    patch.setattr(task, "reparametrize", lambda mean, log_variance, noise: mean + log_variance.exp() * noise)


def the_density_forgets_two_pi(patch):
    from pendio.generation.vae import likelihoods

    patch.setattr(likelihoods, "_HALF_LOG_TWO_PI", 0.0)


def squares_are_means_over_features(patch):
    from pendio.generation.vae.likelihoods import Gaussian

    patch.setattr(
        Gaussian, "_squares", lambda self, outputs, inputs: (self.mean(outputs) - inputs).square().flatten(1).mean(1)
    )


def squares_forget_their_half(patch):
    from pendio.generation.vae.likelihoods import Gaussian

    original = Gaussian._squares
    patch.setattr(Gaussian, "_squares", lambda self, outputs, inputs: 2 * original(self, outputs, inputs))


def beta_is_forgotten(patch):
    from pendio.generation.vae.objective import Objective

    patch.setattr(Objective, "weight", lambda self, step: torch.ones(()))


def weights_are_summed_and_not_averaged(patch):
    from pendio.generation.vae import evidence

    patch.setattr(evidence.math, "log", lambda count: 0.0)


def the_posterior_is_too_wide(patch):
    from pendio.generation.vae.task import Vae

    original = Vae.posterior

    def posterior(self, examples):
        mean, log_variance = original(self, examples)
        return mean, log_variance + 0.1

    patch.setattr(Vae, "posterior", posterior)


def logarithms_are_averaged(patch):
    """The plain bound, of however many samples."""
    patch.setattr(
        "torch.Tensor.logsumexp", lambda self, dim: self.mean(dim) + torch.tensor(float(self.shape[dim])).log()
    )
    patch.setattr("pendio.generation.vae.evidence._CHUNK", 1 << 20)


SABOTAGE = {
    the_divergence_forgets_its_half: "vae-ppca-kl",
    the_divergence_takes_variance_for_its_logarithm: "vae-kl",
    noise_is_scaled_by_the_variance: "vae-variance-law",
    the_density_forgets_two_pi: "vae-ppca-bound",
    squares_are_means_over_features: "vae-ppca-kl",
    squares_forget_their_half: "iwae-exact",
    beta_is_forgotten: "vae-beta",
    weights_are_summed_and_not_averaged: "iwae-limit",
    the_posterior_is_too_wide: "iwae-exact",
    logarithms_are_averaged: "iwae-tightens",
}
