"""Networks as files for other programs, each checked against the original."""

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.runs.files import replacing, write_weights

__all__ = ["FORMATS", "Export", "export"]

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
"""Format → file ending."""

Export = Literal["onnx", "torch-export", "safetensors"]
"""A key of ``FORMATS``."""

_TOLERANCE = 1e-3


def export(
    network: nn.Module, shape: Sequence[int], to: Export, path: Path, outputs: Sequence[str] = ("logits",)
) -> float:
    """Write a network to a file and check the file by running it.

    ONNX and torch-export files take a batch of any size, of inputs in [0, 1] (or a table's own units) and of the
    network's size; normalisation is inside.

    Args:
        network: gives a tensor, or several.
        shape: of one input.
        to: the format.
        path: the file.
        outputs: a name for each tensor that the network gives.

    Returns:
        The largest absolute difference between the file's outputs and the network's, on random inputs.

    Raises:
        InputError: a package is missing, or the file does not compute what the network does; then it is not kept.
    """
    network = network.cpu().eval()
    if to == "safetensors":
        write_weights(path, network.state_dict())
        return 0.0
    example = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = _several(network(example))
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters warn about their own internals
            actual = _to_onnx(network, example, draft, outputs) if to == "onnx" else _to_torch(network, example, draft)
        difference = max(float((one - other).abs().max()) for one, other in zip(actual, expected, strict=True))
        if not difference <= _TOLERANCE * max(1.0, *(float(output.abs().max()) for output in expected)):
            raise InputError(f"the exported network differs from the original by {difference:.3g}; it was not written")
        with replacing(path) as file, draft.open("rb") as content:
            shutil.copyfileobj(content, file)
    return difference


def _several(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else outputs


def _to_onnx(network: nn.Module, example: Tensor, path: Path, outputs: Sequence[str]) -> tuple[Tensor, ...]:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"--to onnx needs packages: pip install 'pendio[export]' ({error})") from error
    torch.onnx.export(
        network, (example,), str(path), input_names=["inputs"], output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {"inputs": example.numpy()})
    return tuple(torch.from_numpy(np.asarray(output)) for output in found)


def _to_torch(network: nn.Module, example: Tensor, path: Path) -> tuple[Tensor, ...]:
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    torch.export.save(program, path)
    with torch.inference_mode():
        return _several(torch.export.load(path).module()(example))
