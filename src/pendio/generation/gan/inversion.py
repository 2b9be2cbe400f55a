"""Inverting a generator: which code makes this example?"""

from collections.abc import Callable

import torch
from torch import Tensor

from pendio.errors import InputError

__all__ = ["inverted"]

_LR = 0.1


def inverted(
    generate: Callable[[Tensor], Tensor], targets: Tensor, starts: Tensor, noise: int, *, steps: int = 200,
    restarts: int = 4,
) -> Tensor:  # fmt: skip
    """Codes ``(N, C)`` that lower ‖G(z) − x‖², each by descent from those of ``starts`` that already come closest to x.

    Adam walks all restarts of all examples at once, on a learning rate that falls along a cosine; the code that came
    closest anywhere on its way is kept. Only the first ``noise`` values of a code move: what follows them, such as a
    class, stays that of its start.

    Args:
        generate: maps codes to examples, and passes gradients; each depends on its own code alone.
        targets: x ``(N, …)``.
        starts: codes ``(M, C)`` to start from.
        noise: values of a code that move.
        steps: of descent.
        restarts: starting points for each example; at most M are used.

    Raises:
        InputError: there is not at least one step and one restart.
    """
    if steps < 1 or restarts < 1:
        raise InputError(f"inversion takes at least 1 step and 1 restart, got {steps} and {restarts}")
    with torch.no_grad():
        distances = torch.cdist(targets.flatten(1), generate(starts).flatten(1))
        nearest = distances.topk(min(restarts, len(starts)), 1, largest=False).indices
    count, each = nearest.shape
    codes = starts[nearest.flatten()]
    moving, fixed = codes[:, :noise].clone().requires_grad_(), codes[:, noise:]
    wanted = targets.repeat_interleave(each, 0)
    optimizer = torch.optim.Adam([moving], lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, closest = moving.detach().clone(), torch.full((len(codes),), float("inf"), device=codes.device)
    with torch.enable_grad():
        for _ in range(steps):
            errors = (generate(torch.cat([moving, fixed], 1)) - wanted).square().flatten(1).sum(1)
            better = errors.detach() < closest
            closest = torch.where(better, errors.detach(), closest)
            best = torch.where(better[:, None], moving.detach(), best)
            optimizer.zero_grad()
            errors.sum().backward()
            optimizer.step()
            schedule.step()
    chosen = closest.view(count, each).argmin(1) + torch.arange(count, device=codes.device) * each
    return torch.cat([best, fixed], 1)[chosen]
