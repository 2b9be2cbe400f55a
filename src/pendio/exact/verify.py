"""Every check by its name."""

from collections.abc import Iterator, Sequence

from pendio.errors import InputError, did_you_mean
from pendio.exact import (
    agents,
    ascent,
    autoencoding,
    classification,
    darknet,
    descent,
    detection,
    diffusion,
    flow,
    gan,
    latent,
    layers,
    manifold,
    neurons,
    planning,
    policy,
    precision,
    quality,
    replay,
    segmentation,
    sequences,
    vae,
)  # fmt: skip
from pendio.exact.check import Check, Row

__all__ = ["CHECKS", "verify"]

_ROOMS = (
    neurons, descent, layers, classification, segmentation, detection, darknet, precision, autoencoding, manifold, vae, gan,
    flow, diffusion, latent, quality, ascent, sequences, planning, replay, agents, policy,
)  # fmt: skip

CHECKS: dict[str, Check] = {check.name: check for room in _ROOMS for check in room.CHECKS}
"""Name → check, in the order of the chapters."""


def verify(names: Sequence[str] = ()) -> Iterator[Row]:
    """Run the checks whose names are given or begin so; all without any.

    Raises:
        InputError: there is none of such a name.
    """
    for name in names:
        if not any(check.startswith(name) for check in CHECKS):
            raise InputError(f"there is no check '{name}': {did_you_mean(name, CHECKS)}")
    for name, check in CHECKS.items():
        if not names or any(name.startswith(wanted) for wanted in names):
            yield check.run()
