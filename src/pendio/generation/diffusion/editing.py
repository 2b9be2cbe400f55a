"""Changing given examples: filling in what is hidden, and making others that resemble them."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pendio.errors import InputError
from pendio.generation.diffusion.options import Sampler
from pendio.generation.diffusion.samplers import coefficients, gaussian, run, stride
from pendio.generation.diffusion.task import Diffusion
from pendio.nn.network import unit_range

__all__ = ["inpaint", "resemble"]


@torch.no_grad()
def inpaint(
    task: Diffusion, inputs: Tensor, hidden: Tensor, *, generator: torch.Generator, labels: Tensor | None = None,
    steps: int | Sequence[int] = 50, repeats: int = 5, guidance: float = 1.0,
) -> Tensor:  # fmt: skip
    """Examples that agree with ``inputs`` where they are not hidden (Lugmayr et al., 2022, RePaint).

    Each step is DDPM's, after which what is known is put in its place with as much noise as the level has. Then the step
    is taken back by adding its noise again, and repeated, so that both parts come to fit each other.

    Args:
        task: a trained model.
        inputs: ``(N, *shape)``, images as bytes or in [0, 1], rows in the data's own units. Hidden values do not matter.
        hidden: broadcasts to the inputs; true where values are to be made.
        generator: of all randomness, on the CPU.
        labels: ``(N,)`` class numbers, where the model was told classes.
        steps: how many, or the levels to visit, falling.
        repeats: times that each step is taken, at least 1.
        guidance: as for :meth:`Diffusion.sample`.

    Returns:
        ``(N, *shape)`` in the data's range; what is not hidden stays to the bit.

    Raises:
        InputError: shapes do not fit, or there are more steps than levels.
    """
    task.check_walk("ddpm", guidance, 0.0)
    values, chosen = _given(task, inputs, labels)
    if repeats < 1:
        raise InputError(f"--repeats must be 1 or more, got {repeats}")
    if hidden.ndim > values.ndim or any(
        mine not in (1, theirs) for mine, theirs in zip(reversed(hidden.shape), reversed(values.shape), strict=False)
    ):
        raise InputError(f"the mask is {tuple(hidden.shape)}, and the examples are {tuple(values.shape)}")
    hidden = hidden.to(values.device)
    path, draw = task.path("ddpm", steps), gaussian(generator, values.device)
    known = torch.where(hidden, torch.zeros_like(values), values)
    made = draw(known)
    denoiser = task.denoiser(path, chosen, guidance, ready=made)
    for here, there in pairwise(path):
        step = coefficients(here, there, 1.0)
        for turn in range(repeats):
            made = stride(made, denoiser(made, here), step, draw)
            noised = there.signal * known + there.noise * draw(known) if there.noise else known
            made = torch.where(hidden, made, noised)
            if turn < repeats - 1 and there.noise:
                share = here.signal / there.signal
                made = share * made + max(0.0, 1 - share**2) ** 0.5 * draw(made)
            elif not there.noise:
                break
    return torch.where(hidden, task.restored(made), unit_range(inputs).to(made))


@torch.no_grad()
def resemble(
    task: Diffusion, inputs: Tensor, strength: float, *, generator: torch.Generator, labels: Tensor | None = None,
    sampler: Sampler = "deterministic", steps: int = 50, guidance: float = 1.0, eta: float = 0.0,
) -> Tensor:  # fmt: skip
    """Examples that resemble ``inputs``: noised part of the way, and denoised again (Meng et al., 2022, SDEdit).

    Args:
        task: a trained model.
        inputs: ``(N, *shape)``, images as bytes or in [0, 1], rows in the data's own units.
        strength: in (0, 1]: how far along the levels to go, and so how little is kept. At 1 nearly nothing is.
        generator: of all randomness, on the CPU.
        labels: ``(N,)`` class numbers, where the model was told classes; another class than the input's changes it.
        sampler: its name.
        steps: of the whole path; of them the share ``strength`` is taken, one at least.
        guidance, eta: as for :meth:`Diffusion.sample`.

    Raises:
        InputError: strength is out of range, shapes do not fit, or there are more steps than levels.
    """
    if not 0 < strength <= 1:
        raise InputError(f"--strength must be above 0 and at most 1, got {strength:g}")
    task.check_walk(sampler, guidance, eta)
    values, chosen = _given(task, inputs, labels)
    path = task.path(sampler, steps)
    path = path[steps - max(1, round(strength * steps)) :]
    draw = gaussian(generator, values.device)
    noised = path[0].signal * values + path[0].noise * draw(values)
    denoiser = task.denoiser(path, chosen, guidance, ready=noised)
    return task.restored(run(sampler, denoiser, noised, path, draw=draw, eta=eta))


def _given(task: Diffusion, inputs: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Standardised examples, and labels that fit them, on the task's device."""
    task.eval()
    if tuple(inputs.shape[1:]) != task.shape:
        raise InputError(f"examples of {tuple(inputs.shape[1:])} were given; this model makes such of {task.shape}")
    device = task.levels.device
    chosen = task.checked_labels(len(inputs), labels)
    return task.standardized(inputs.to(device)), None if chosen is None else chosen.to(device)
