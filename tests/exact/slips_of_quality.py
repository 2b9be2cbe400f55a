"""Slips of the pen in how generated examples are measured, and the row that must notice each."""

import torch


def means_do_not_count(patch):
    from pendio.generation.quality.frechet import Moments

    patch.setattr(Moments, "mean", property(lambda self: torch.zeros(40, dtype=torch.float64)))


def spreads_are_doubled(patch):
    from pendio.generation.quality.frechet import Moments

    original = Moments.variance.fget
    patch.setattr(Moments, "variance", property(lambda self: 2 * original(self)))


def few_examples_are_not_centred(patch):
    from pendio.generation.quality.frechet import Moments

    patch.setattr(Moments, "_root", lambda self: torch.cat(self._rows).T / self._pairs() ** 0.5)


def batches_are_merged_without_their_shift(patch):
    patch.setattr(torch.Tensor, "addr_", lambda self, *vectors, alpha=1: self)


def covariances_are_over_all(patch):
    from pendio.generation.quality.frechet import Moments

    patch.setattr(Moments, "_pairs", lambda self: self.count)


def the_kernel_is_square(patch):
    from pendio.generation.quality import kernel

    patch.setattr(kernel, "_kernel", lambda left, right: (left @ right.T / left.shape[1] + 1) ** 2)


def dimensions_are_not_divided_out(patch):
    from pendio.generation.quality import kernel

    patch.setattr(kernel, "_kernel", lambda left, right: (left @ right.T + 1) ** 3)


def examples_are_compared_with_themselves(patch):
    from pendio.generation.quality import kernel

    patch.setattr(kernel, "_means_within", lambda features: kernel._kernel(features, features).mean(1))


def an_example_is_its_own_neighbor(patch):
    from pendio.generation.quality import neighbors

    original = neighbors.neighbor_distances

    def distances(features, k):
        return torch.cat([features.new_zeros(len(features), 1), original(features, k)[:, :-1]], 1)

    patch.setattr(neighbors, "neighbor_distances", distances)


def made_and_real_are_swapped(patch):
    from pendio.generation.quality import neighbors

    original = neighbors.neighborhoods
    patch.setattr(neighbors, "neighborhoods", lambda real, made: original(made, real))


def the_marginal_is_forgotten(patch):
    from pendio.generation.quality import judge

    patch.setattr(judge, "class_score", lambda p: float(torch.special.entr(p).sum(1).mean().exp()))


SABOTAGE = {
    means_do_not_count: "frechet-commuting",
    spreads_are_doubled: "frechet-commuting",
    few_examples_are_not_centred: "frechet-samples",
    batches_are_merged_without_their_shift: "moments-streamed",
    covariances_are_over_all: "moments-streamed",
    the_kernel_is_square: "kernel-pairs",
    dimensions_are_not_divided_out: "kernel-pairs",
    examples_are_compared_with_themselves: "kernel-unbiased",
    an_example_is_its_own_neighbor: "neighbors-balls",
    made_and_real_are_swapped: "neighbors-balls",
    the_marginal_is_forgotten: "class-score",
}
