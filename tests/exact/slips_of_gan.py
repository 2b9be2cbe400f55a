"""Slips of the pen in games of two, and the row that must notice each."""

import torch
import torch.nn.functional as F

from pendio.generation.gan import augmentation, games, networks, task


def the_discriminator_forgets_what_is_made(patch):
    patch.setattr(games, "discriminator_losses", lambda game, real, made: F.softplus(-real) + 0 * made)


def the_value_is_a_sum_of_cross_entropies(patch):
    patch.setattr(games, "value", lambda real, made: F.softplus(-real).mean() + F.softplus(made).mean())


def the_generator_saturates(patch):
    original = games.generator_losses
    patch.setattr(
        games, "generator_losses",
        lambda game, made: -F.softplus(made) if game == "non-saturating" else original(game, made),
    )  # fmt: skip


def the_hinge_has_no_margin(patch):
    original = games.discriminator_losses
    patch.setattr(
        games, "discriminator_losses",
        lambda game, real, made: F.relu(-real) + F.relu(made) if game == "hinge" else original(game, real, made),
    )  # fmt: skip


def the_norm_is_over_the_wrong_axis(patch):
    original = torch.linalg.vector_norm
    patch.setattr(games.torch.linalg, "vector_norm", lambda values, dim: original(values, dim=0))


def the_penalty_has_no_graph(patch):
    original = games._slopes
    patch.setattr(
        games, "_slopes", lambda judge, places: original(judge, places).detach() + 0 * original(judge, places)
    )


def the_penalty_is_one_sided(patch):
    original = games.gradient_penalties

    def penalties(judge, real, made, shares):
        return original(judge, real, made, shares) * (games._slopes(judge, real).norm(dim=1) > 1e9)

    patch.setattr(games, "gradient_penalties", penalties)


def all_pairs_share_one_alpha(patch):
    original = games.gradient_penalties
    patch.setattr(
        games, "gradient_penalties",
        lambda judge, real, made, shares: original(judge, real, made, shares[:1].expand_as(shares)),
    )  # fmt: skip


def alpha_weighs_the_made(patch):
    original = games.gradient_penalties
    patch.setattr(
        games, "gradient_penalties", lambda judge, real, made, shares: original(judge, real, made, 1 - shares)
    )  # fmt: skip


def sigma_is_the_frobenius_norm(patch):
    patch.setattr(networks.SpectralNorm, "forward", lambda self, weight: weight / weight.norm())


def the_length_of_u_counts(patch):
    def forward(self, weight):
        matrix = weight.flatten(1)
        v = F.normalize(self.u @ matrix, dim=0)
        if self.training:
            self.u.copy_(F.normalize(matrix @ v, dim=0))
        return weight / torch.dot(self.u, matrix @ v)

    patch.setattr(networks.SpectralNorm, "forward", forward)


def contrast_stops_the_gradient(patch):
    original = augmentation._colored
    patch.setattr(
        augmentation, "_colored", lambda images, generator: images + (original(images, generator) - images).detach()
    )


def the_generator_learns_in_the_others_turn(patch):
    original = task.Gan.make

    def make(self, count, classes):
        with torch.enable_grad():
            return original(self, count, classes)

    patch.setattr(task.Gan, "make", make)


def the_discriminator_is_not_frozen(patch):
    from contextlib import nullcontext

    patch.setattr(task, "_frozen", nullcontext)


SABOTAGE = {
    the_discriminator_forgets_what_is_made: "gan-optimum",
    the_value_is_a_sum_of_cross_entropies: "gan-value",
    the_generator_saturates: "gan-gradients",
    the_hinge_has_no_margin: "gan-gradients",
    the_norm_is_over_the_wrong_axis: "gradient-penalty",
    the_penalty_has_no_graph: "gradient-penalty",
    the_penalty_is_one_sided: "gradient-penalty",
    all_pairs_share_one_alpha: "gradient-penalty-places",
    alpha_weighs_the_made: "gradient-penalty-places",
    sigma_is_the_frobenius_norm: "spectral-norm",
    the_length_of_u_counts: "spectral-norm",
    contrast_stops_the_gradient: "diff-augmentation",
    the_generator_learns_in_the_others_turn: "gan-turns",
    the_discriminator_is_not_frozen: "gan-turns",
}
