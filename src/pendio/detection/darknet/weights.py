"""Darknet's ``.weights`` files: a short header, then float32 after float32, in the order of the layers.

A file says neither which network it is of nor how long it is, so that everything which can be checked is: each byte must
be used, each number be finite, and no variance negative.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pendio.detection.darknet.network import DarknetNetwork
from pendio.errors import InputError
from pendio.runs.files import replacing

__all__ = ["Header", "fits", "read_header", "read_weights", "stored_floats", "write_weights"]


class Header(NamedTuple):
    """How a file begins: the version of its format, and the number of images its network was trained on.

    From version 0.2 ``seen`` has 64 bits, before it 32 (less than one bit a year's training needs).
    """

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def layout(self) -> str:
        """The header as ``struct`` writes it."""
        return "<iiiQ" if 10 * self.major + self.minor >= 2 else "<iiiI"


def read_header(path: Path) -> Header:
    """How a ``.weights`` file begins.

    Raises:
        InputError: the file cannot be read, or begins as no such file does.
    """
    try:
        with path.open("rb") as file:
            return _header(file.read(20), path)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error


def _header(start: bytes, path: Path) -> Header:
    if len(start) < 16:
        raise InputError(f"'{path}' has {len(start)} bytes, less than the header of a .weights file")
    version = Header(*struct.unpack("<iii", start[:12]))
    if not (0 <= version.major < 100 and 0 <= version.minor < 100):
        raise InputError(
            f"'{path}' is no darknet .weights file: it begins with version {version.major}.{version.minor}"
        )
    size = struct.calcsize(version.layout)
    if len(start) < size:
        raise InputError(f"'{path}' has {len(start)} bytes, less than the header of {size} of its version")
    return Header(*struct.unpack(version.layout, start[:size]))


def read_weights(path: Path, network: DarknetNetwork, layers: int | None = None) -> Header:
    """Fill a network with the weights of a file. Nothing is changed unless all of them fit.

    Args:
        path: a ``.weights`` file.
        network: of the ``.cfg`` file that goes with it.
        layers: fill only so many from the first, for a file of the body alone, or of a network with another head; then
            what follows in the file is left. By default all, and every byte must be used.

    Returns:
        The file's header.

    Raises:
        InputError: the file cannot be read, ends too early or too late for the network, or holds numbers that cannot be
            weights.
    """
    header = read_header(path)
    parts = list(_parts(network, layers))
    floats = _floats(path, struct.calcsize(header.layout))
    _check_length(path, network, parts, len(floats), layers)
    loaded, begin = [], 0
    for number, name, tensor in parts:
        values = floats[begin : begin + tensor.numel()]
        begin += len(values)
        if not np.isfinite(values).all() or (name == "variance" and (values < 0).any()):
            raise InputError(f"'{path}': the {name} of {network.config.place(number)} has values that cannot be; the file "
                             "is damaged, or of another network")  # fmt: skip
        loaded.append(torch.from_numpy(values.astype(np.float32)).view(tensor.shape))
    with torch.no_grad():
        for (_, _, tensor), stored in zip(parts, loaded, strict=True):
            tensor.copy_(stored)
    return header


def _floats(path: Path, begin: int) -> NDArray[np.float32]:
    """All numbers after the header, mapped and not yet read."""
    count, rest = divmod(path.stat().st_size - begin, 4)
    if rest:
        raise InputError(f"'{path}' ends within a number: {rest} of its 4 bytes are there; the file was cut short")
    if not count:
        raise InputError(f"'{path}' has a header and no weights")
    return np.memmap(path, "<f4", "r", begin, (count,))


def _check_length(
    path: Path, network: DarknetNetwork, parts: list[tuple[int, str, Tensor]], given: int, layers: int | None
) -> None:
    wanted = sum(tensor.numel() for _, _, tensor in parts)
    if given > wanted and layers is None:
        raise InputError(f"'{path}' has {given - wanted:,} numbers more than the {wanted:,} of this network: is it of "
                         "another .cfg file, or of other classes?")  # fmt: skip
    end = 0
    for number, name, tensor in parts:
        if end + tensor.numel() > given:
            whole = f"; layers 0 to {number - 1} are whole: for those alone, ask for {number} layers" * (
                end == given and name == "bias"
            )
            raise InputError(f"'{path}' ends too soon, in the {name} of {network.config.place(number)}: {wanted - given:,} "
                             f"of {wanted:,} numbers are missing{whole}")  # fmt: skip
        end += tensor.numel()


def _parts(network: DarknetNetwork, layers: int | None = None) -> Iterator[tuple[int, str, Tensor]]:
    """Layer, name and tensor of everything stored, in the file's order."""
    for number, layer in enumerate(network.layers[:layers]):
        if not isinstance(layer, nn.Sequential):
            continue
        convolution, normalization = layer[0], layer[1] if len(layer) > 1 else None
        assert isinstance(convolution, nn.Conv2d)
        if isinstance(normalization, nn.BatchNorm2d):
            assert normalization.running_mean is not None
            assert normalization.running_var is not None
            yield number, "bias", normalization.bias
            yield number, "scale", normalization.weight
            yield number, "mean", normalization.running_mean
            yield number, "variance", normalization.running_var
        else:
            assert convolution.bias is not None
            yield number, "bias", convolution.bias
        yield number, "kernel", convolution.weight


def fits(path: Path, network: DarknetNetwork) -> bool:
    """Whether a file has just as many numbers as a network.

    Raises:
        InputError: the file cannot be read, or begins as no such file does.
    """
    begin = struct.calcsize(read_header(path).layout)
    return path.stat().st_size == begin + 4 * stored_floats(network)


def stored_floats(network: DarknetNetwork, layers: int | None = None) -> int:
    """How many numbers a file of the network holds, after its header; or of its first layers."""
    return sum(tensor.numel() for _, _, tensor in _parts(network, layers))


def write_weights(path: Path, network: DarknetNetwork, header: Header | None = None, layers: int | None = None) -> None:
    """Write a network's weights as darknet does; a file that was read comes out byte for byte.

    Args:
        path: the file, replaced if there is one.
        network: whose weights; one as it is trained, whose normalisations are not yet folded into the convolutions.
        header: how the file begins; by default version 0.2.0, no images seen.
        layers: only so many from the first.

    Raises:
        InputError: the file cannot be written.
        ValueError: the network's normalisations are gone.
    """
    for layer, module in zip(network.config.layers, network.layers, strict=True):
        if getattr(layer, "batch_normalize", False) and not any(
            isinstance(part, nn.BatchNorm2d) for part in module.children()
        ):
            raise ValueError(
                "the normalisations were folded into the convolutions: write the network they were folded from"
            )
    begin = header or Header()
    with replacing(path) as file:
        file.write(struct.pack(begin.layout, *begin))
        for _, _, tensor in _parts(network, layers):
            _write(file, tensor)


def _write(file: BinaryIO, tensor: Tensor) -> None:
    file.write(tensor.detach().float().cpu().contiguous().numpy().astype("<f4").tobytes())
