"""What examples are compared by: their pixels, or what a network makes of them before it names classes."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pendio.ascent.reading import Reader
from pendio.classification.models import LITE0, build, preprocessing
from pendio.classification.recipe import trained_network
from pendio.data.examples import Data
from pendio.errors import InputError
from pendio.nn.network import Network, unit_range

__all__ = ["PIXELS", "Features", "check_fit", "network_features", "open_features", "usual_features"]

PIXELS = "pixels"
"""Examples as they are."""

_BATCH = 64
"""Images that a network sees at once."""


class Features:
    """Turns examples into features ``(N, D)``.

    Args:
        name: what it is called.
        compute: of inputs ``(N, …)``, images as bytes or in [0, 1], rows in the data's own units.
    """

    def __init__(self, name: str, compute: Callable[[Tensor], Tensor]) -> None:
        self.name = name
        self._compute = compute

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Features of inputs, computed a part at a time."""
        return torch.cat([self._compute(part).float() for part in inputs.split(_BATCH)])


def usual_features(data: Data) -> str:
    """The features by which examples are compared if nobody says: of images EfficientNet-Lite0's, of rows themselves."""
    return LITE0 if len(data.shape) == 3 else PIXELS


def open_features(name: str, data: Data, weights: str | None = None, layer: str | None = None) -> Features:
    """Features by name.

    Args:
        name: "pixels" for examples as they are, rows in units of the standard deviation; or a run of ``train classify``,
            "efficientnet-lite0", "timm:NAME" or "torchvision:NAME", whose last layer is left out.
        data: what will be compared.
        weights: a file of weights to use instead of the published ones.
        layer: of a network, whose output is taken instead of what its last layer sees.

    Raises:
        InputError: there is no such network or layer, or it takes other inputs than the data has.
    """
    published = name == LITE0 or ":" in name
    if weights is not None and not published:
        raise InputError(f"--weights is for published networks, and --features is '{name}'; leave it out")
    if name == PIXELS:
        if layer is not None:
            raise InputError("--layer is one of a network; name it with --features")
        return Features(name, _pixels(data))
    network = _headless(name, weights) if published else trained_network(name)
    if layer is None:
        return network_features(name, network, data)
    check_fit(name, network, data)
    reader = Reader(network, [layer])
    return Features(
        f"{name}, layer {layer}", lambda inputs: reader(network.fit(unit_range(inputs).float()))[layer].flatten(1)
    )


def network_features(name: str, network: Network, data: Data) -> Features:
    """What a classifier's last layer sees.

    Raises:
        InputError: the network takes other inputs than the data has.
    """
    check_fit(name, network, data)
    body = network.module.get_submodule("body")
    if len(network.shape) == 1:
        return Features(name, lambda inputs: body(network.prepare(inputs)))
    # Depth-wise convolutions take half the time where channels come last.
    body.to(memory_format=torch.channels_last)
    return Features(name, lambda inputs: body(network.prepare(inputs).contiguous(memory_format=torch.channels_last)))


def check_fit(name: str, network: Network, data: Data) -> None:
    """Whether a network can see the data's examples.

    Raises:
        InputError: it takes rows where there are images, other rows, or grey images where there is color.
    """
    wanted, given = network.shape, data.shape
    fits = wanted == given if len(given) == 1 else len(wanted) == 3 and given[0] in (1, wanted[0])
    if not fits:
        shapes = ["×".join(map(str, shape)) for shape in (wanted, given)]
        raise InputError(f"'{name}' sees examples of {shapes[0]}, and those of '{data.name}' are {shapes[1]}; "
                         "give a network that was trained on such data")  # fmt: skip


def _headless(name: str, weights: str | None) -> Network:
    """A published network with its body's weights, and a head that is not used."""
    if weights is not None and not Path(weights).is_file():
        raise InputError(f"--weights: there is no file '{weights}'")
    form = preprocessing(name)
    with torch.random.fork_rng():
        network = build(name, (3, form.size, form.size), form.mean, form.std, ("any",), weights=weights)
    return network.eval().requires_grad_(False)


def _pixels(data: Data) -> Callable[[Tensor], Tensor]:
    if len(data.shape) == 3:
        return lambda inputs: unit_range(inputs).flatten(1)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    return lambda inputs: (inputs - mean) / std
