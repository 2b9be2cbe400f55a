"""Slips of the pen in latent spaces, and the row that must notice each."""

import torch


def the_map_has_no_offset(patch):
    from pendio.generation.latent import maps

    patch.setattr(maps, "_centred", lambda source, target: (source, target))


def leverage_is_forgotten(patch):
    from pendio.generation.latent import maps

    patch.setattr(maps, "_least_left_out", lambda left, scales, seen, outputs: float(1e-8 * scales.max() ** 2))


def the_scale_is_forgotten(patch):
    from pendio.generation.latent import maps

    original = maps.procrustes

    def rigid(source, target):
        found = original(source, target)
        return found._replace(weights=found.weights / torch.linalg.matrix_norm(found.weights, 2))

    patch.setattr(maps, "procrustes", rigid)


def the_circle_is_a_chord(patch):
    from pendio.generation.latent import paths

    patch.setattr(paths, "slerp", paths.lerp)


def the_middle_is_blown_up(patch):
    from pendio.generation.latent import paths

    patch.setattr(paths, "lerp", paths.slerp)


def any_support_will_do(patch):
    from pendio.generation.latent import maps

    patch.setattr(maps, "d_optimal", lambda values, size: torch.arange(size))


def the_covariance_is_forgotten(patch):
    from pendio.generation.latent import directions

    patch.setattr(directions, "_shrunk", lambda covariance: torch.eye(len(covariance), dtype=covariance.dtype))


def the_entropy_is_in_bits(patch):
    from pendio.generation.latent import disentanglement

    original = disentanglement._information
    patch.setattr(disentanglement, "_information", lambda *given: original(*given) / 0.6931)


def the_best_has_no_rival(patch):
    from pendio.generation.latent import disentanglement

    patch.setattr(disentanglement, "_gap", lambda scores: scores.max())


SABOTAGE = {
    the_map_has_no_offset: "latent-ridge",
    leverage_is_forgotten: "latent-left-out",
    the_scale_is_forgotten: "latent-procrustes",
    the_circle_is_a_chord: "latent-slerp",
    any_support_will_do: "latent-support",
    the_covariance_is_forgotten: "latent-lda",
    the_middle_is_blown_up: "latent-lerp",
    the_entropy_is_in_bits: "latent-disentangled",
    the_best_has_no_rival: "latent-entangled",
}
