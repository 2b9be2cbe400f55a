"""Networks as files for other programs, each checked against the original."""

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.runs.files import replacing, write_weights

__all__ = ["FORMATS", "Export", "export"]

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
"""Format → file ending."""

Export = Literal["onnx", "torch-export", "safetensors"]
"""A key of ``FORMATS``."""

_TOLERANCE = 1e-3


def export(network: Network, to: Export, path: Path) -> float:
    """Write a network to a file and check the file by running it.

    ONNX and torch-export files take a batch of any size, of inputs in [0, 1] (or a table's own units) and of the
    network's size, and return logits; normalisation is inside.

    Returns:
        The largest absolute difference between the file's logits and the network's, on random inputs.

    Raises:
        InputError: a package is missing, or the file does not compute what the network does; then it is not kept.
    """
    network = network.cpu().eval()
    if to == "safetensors":
        write_weights(path, network.state_dict())
        return 0.0
    example = torch.rand(2, *network.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(example)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters warn about their own internals
            actual = _to_onnx(network, example, draft) if to == "onnx" else _to_torch(network, example, draft)
        difference = float((actual - expected).abs().max())
        if not difference <= _TOLERANCE * max(1.0, float(expected.abs().max())):
            raise InputError(f"the exported network differs from the original by {difference:.3g}; it was not written")
        with replacing(path) as file, draft.open("rb") as content:
            shutil.copyfileobj(content, file)
    return difference


def _to_onnx(network: Network, example: torch.Tensor, path: Path) -> torch.Tensor:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"--to onnx needs packages: pip install 'pendio[export]' ({error})") from error
    torch.onnx.export(
        network, (example,), str(path), input_names=["inputs"], output_names=["logits"],
        dynamic_shapes={"inputs": {0: torch.export.Dim("batch", min=1)}}, dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(None, {"inputs": example.numpy()})[0]))


def _to_torch(network: Network, example: torch.Tensor, path: Path) -> torch.Tensor:
    shapes = {"inputs": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(network, (example,), dynamic_shapes=shapes)
    torch.export.save(program, path)
    with torch.inference_mode():
        logits: torch.Tensor = torch.export.load(path).module()(example)
    return logits
