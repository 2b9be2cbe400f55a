"""Slips of the pen in diffusion, and the row that must notice each."""

from itertools import pairwise

SAMPLERS = "pendio.generation.diffusion.samplers"


def a_world_forgets_the_signal(patch):
    from pendio.exact.worlds import Mixture

    original = Mixture.__call__
    patch.setattr(Mixture, "__call__", lambda self, values, level: original(self, values, level) * level.signal)


def the_cleanest_level_is_clean(patch):
    from pendio.generation.diffusion.schedules import Schedule

    original = Schedule.path
    patch.setattr(Schedule, "path", lambda self, steps: original(self, steps)[1:])


def signal_and_noise_are_swapped(patch):
    from pendio.generation.diffusion import samplers
    from pendio.generation.diffusion.schedules import Level

    original = samplers.coefficients

    def swapped(here, there, eta=0.0):
        return original(here, Level(there.noise, there.signal) if there.noise else there, eta)

    patch.setattr(samplers, "coefficients", swapped)


def the_next_level_is_guessed_from_even_spacing(patch):
    from pendio.generation.diffusion import samplers

    def run(sampler, denoiser, values, path, **rest):
        angles = [level.angle for level in path]
        for here, there in pairwise(range(len(path))):
            guessed = max(0.0, angles[here] - angles[0] / (len(path) - 1))
            step = samplers.coefficients(
                path[here], samplers.Level.at(guessed) if there < len(path) - 1 else path[there]
            )
            values = samplers.stride(values, denoiser(values, path[here]), step, None)
        return values

    patch.setattr(samplers, "run", run)


def heun_forgets_its_correction(patch):
    patch.setattr(f"{SAMPLERS}._trapezoid", lambda values, ahead, denoised, here, there: ahead)


def heun_takes_the_whole_correction(patch):
    from pendio.generation.diffusion import samplers

    original = samplers._trapezoid

    def whole(values, ahead, *rest):
        return 2 * original(values, ahead, *rest) - ahead

    patch.setattr(samplers, "_trapezoid", whole)


def fresh_noise_is_not_taken_from_the_kept(patch):
    from pendio.generation.diffusion import samplers

    original = samplers.coefficients

    def coefficients(here, there, eta=0.0):
        plain, mixed = original(here, there, 0.0), original(here, there, eta)
        return samplers.Coefficients(plain.denoised, plain.kept, mixed.fresh)

    patch.setattr(samplers, "coefficients", coefficients)


def inverting_takes_steps_forwards(patch):
    from pendio.generation.diffusion import samplers

    patch.setattr(samplers, "invert", lambda denoiser, values, path, refine: samplers.run(
        "deterministic", denoiser, values, path
    ))  # fmt: skip


def velocity_has_the_other_sign(patch):
    from pendio.generation.diffusion import denoising

    original = denoising.quantity

    def quantity(predict, *rest):
        return -original(predict, *rest) if predict == "velocity" else original(predict, *rest)

    patch.setattr(denoising, "quantity", quantity)


def guidance_goes_the_other_way(patch):
    from pendio.generation.diffusion.denoising import NetworkDenoiser

    original = NetworkDenoiser.__init__

    def init(self, network, predict, path, labels=None, guidance=1.0, *rest):
        original(self, network, predict, path, labels, 1 - guidance, *rest)

    patch.setattr(NetworkDenoiser, "__init__", init)


def a_gaussian_is_scored_as_if_clean(patch):
    from pendio.exact.worlds import Gaussian
    from pendio.generation.diffusion.schedules import CLEAN

    original = Gaussian.score
    patch.setattr(Gaussian, "score", lambda self, values, level=CLEAN: original(self, values, CLEAN))


def a_gaussian_is_drawn_with_its_variances_as_deviations(patch):
    from pendio.exact.worlds import Gaussian

    def sample(self, count, generator):
        noise = self.mean.new_empty(count, len(self.mean)).normal_(generator=generator)
        return self.mean + noise @ self.covariance.T

    patch.setattr(Gaussian, "sample", sample)


def the_best_guess_is_a_little_too_small(patch):
    from pendio.exact.worlds import Gaussian

    original = Gaussian.__call__
    patch.setattr(Gaussian, "__call__", lambda self, values, level: 0.97 * original(self, values, level))


def only_the_noisiest_levels_are_learned(patch):
    from pendio.generation.diffusion.task import Diffusion

    original = Diffusion._drawn

    def drawn(self, values):
        numbers, noise = original(self, values)
        return numbers.clamp(min=800), noise

    patch.setattr(Diffusion, "_drawn", drawn)


def mirrored_noise_is_not_what_was_added(patch):
    from pendio.generation.diffusion.task import Diffusion

    original = Diffusion.noised

    def noised(self, values, noise, numbers):
        return original(self, values, noise.abs(), numbers)

    patch.setattr(Diffusion, "noised", noised)


SABOTAGE = {
    a_world_forgets_the_signal: "diffusion-score",
    a_gaussian_is_scored_as_if_clean: "diffusion-score",
    the_cleanest_level_is_clean: "diffusion-contrast",
    signal_and_noise_are_swapped: "diffusion-mixture",
    the_next_level_is_guessed_from_even_spacing: "diffusion-uneven",
    heun_forgets_its_correction: "heun-order",
    heun_takes_the_whole_correction: "heun-mixture",
    a_gaussian_is_drawn_with_its_variances_as_deviations: "diffusion-least-loss",
    the_best_guess_is_a_little_too_small: "diffusion-least-loss",
    only_the_noisiest_levels_are_learned: "diffusion-learned",
    mirrored_noise_is_not_what_was_added: "diffusion-learned",
    fresh_noise_is_not_taken_from_the_kept: "ddim-marginals",
    inverting_takes_steps_forwards: "ddim-inverse",
    velocity_has_the_other_sign: "diffusion-predictions",
    guidance_goes_the_other_way: "diffusion-guidance",
}
