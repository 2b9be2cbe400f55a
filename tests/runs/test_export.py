import numpy as np
import pytest
import torch
from torch import nn

import pendio
from pendio.errors import InputError
from pendio.nn.network import Network
from pendio.runs.export import FORMATS, export
from pendio.runs.files import read_weights


@pytest.fixture
def network(digits_run):
    return pendio.load(digits_run.folder).network


@pytest.fixture
def images():
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def expected(network, images):
    with torch.no_grad():
        return network.eval()(images).numpy()


def test_onnx_gives_the_same_logits_for_any_batch(network, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert export(network, network.shape, "onnx", tmp_path / "model.onnx") < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        (logits,) = session.run(["logits"], {"inputs": images[:count].numpy()})
        np.testing.assert_allclose(logits, expected(network, images[:count]), atol=1e-4)


def test_torch_export_gives_the_same_logits_for_any_batch(network, images, tmp_path):
    assert export(network, network.shape, "torch-export", tmp_path / "model.pt2") < 1e-4
    module = torch.export.load(tmp_path / "model.pt2").module()
    for count in (1, 5):
        with torch.no_grad():
            np.testing.assert_allclose(module(images[:count]).numpy(), expected(network, images[:count]), atol=1e-5)


def test_safetensors_hold_the_weights_and_the_normalisation(network, tmp_path):
    assert export(network, network.shape, "safetensors", tmp_path / "model.safetensors") == 0
    weights = read_weights(tmp_path / "model.safetensors")
    assert weights.keys() == network.state_dict().keys()
    assert torch.equal(weights["mean"], network.mean)


class Forgetful(nn.Module):
    """Answers differently each time, as a network that cannot be exported does."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return inputs * self.calls


def test_a_file_that_computes_something_else_is_not_kept(tmp_path):
    network = Network(Forgetful(), (3,), [0.0] * 3, [1.0] * 3, "abc")
    with pytest.raises(InputError, match="differs from the original by .*; it was not written"):
        export(network, network.shape, "torch-export", tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_formats_have_their_usual_endings():
    assert FORMATS == {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
