import struct

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pendio.detection.darknet.catalogue import BODY, darknet53, yolov3, yolov3_tiny
from pendio.detection.darknet.network import DarknetNetwork
from pendio.detection.darknet.sections import Config, Convolutional, MaxPool, Net, Route, Yolo
from pendio.detection.darknet.weights import Header, read_header, read_weights, stored_floats, write_weights
from pendio.errors import InputError
from pendio.nn.fusion import fused

LAYERS = (
    Convolutional(4, 3, 2, pad=True, batch_normalize=True, activation="leaky"), MaxPool(1, 2),
    Convolutional(6, 3, pad=True, groups=2, batch_normalize=True, activation="linear"), Route((-1, 0)),
    Convolutional(7, activation="linear"), Yolo(((4.0, 5.0),), 2),
)  # fmt: skip


def small():
    return DarknetNetwork(Config(Net(16, 16), LAYERS)).eval()


KERNELS = {0: (4, 3, 3, 3), 2: (6, 2, 3, 3), 4: (7, 10, 1, 1)}
"""By hand: filters, channels of a group, height, width."""


def drawn():
    """For each convolution what the format stores, in its order."""
    random = np.random.default_rng(0)
    stored = {}
    for number, shape in KERNELS.items():
        one = {"beta": random.normal(size=shape[0])}
        if number != 4:
            one |= {name: random.normal(size=shape[0]) for name in ("gamma", "mean")}
            one |= {"variance": random.uniform(0.5, 2, size=shape[0])}
        stored[number] = one | {"kernel": random.normal(size=shape)}
    return stored


def packed(stored, version=(0, 2, 5), seen=1234):
    """A file, number by number: 64 bits for the images seen from version 0.2 on, 32 before."""
    content = b"".join(struct.pack("<i", part) for part in version)
    content += struct.pack("<Q" if version[0] * 10 + version[1] >= 2 else "<I", seen)
    for one in stored.values():
        for values in one.values():
            for value in values.reshape(-1):
                content += struct.pack("<f", value)
    return content


def literal(stored, image):
    """What the network must answer, from the stored numbers alone."""

    def tensor(number, name):
        return torch.tensor(stored[number][name], dtype=torch.float32)

    def normal(number, maps):
        beta, gamma, mean, variance = (
            tensor(number, name).view(-1, 1, 1) for name in ("beta", "gamma", "mean", "variance")
        )
        return (maps - mean) / (variance + 1e-5).sqrt() * gamma + beta

    first = normal(0, F.conv2d(image, tensor(0, "kernel"), stride=2, padding=1))
    first = torch.where(first > 0, first, 0.1 * first)
    pooled = F.max_pool2d(F.pad(first, (0, 1, 0, 1), value=-1e9), 2, 1)
    second = normal(2, F.conv2d(pooled, tensor(2, "kernel"), padding=1, groups=2))
    return F.conv2d(torch.cat([second, first], 1), tensor(4, "kernel"), tensor(4, "beta"))


@pytest.mark.parametrize("version", [(0, 1, 0), (0, 2, 0), (0, 2, 5), (1, 0, 0)])
def test_a_file_packed_number_by_number_gives_the_network_that_it_says(tmp_path, version):
    path, module = tmp_path / "a.weights", small()
    path.write_bytes(packed(drawn(), version))
    assert read_weights(path, module) == (*version, 1234)
    image = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(module(image)[0], literal(drawn(), image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("version", [(0, 1, 0), (0, 2, 5)])
def test_what_was_read_is_written_byte_for_byte(tmp_path, version):
    content = packed(drawn(), version, seen=1 << 31)
    first, second = tmp_path / "a.weights", tmp_path / "b.weights"
    first.write_bytes(content)
    module = small()
    write_weights(second, module, read_weights(first, module))
    assert second.read_bytes() == content


def test_images_seen_have_64_bits(tmp_path):
    path = tmp_path / "a.weights"
    path.write_bytes(packed(drawn(), seen=1 << 40))
    assert read_header(path) == Header(0, 2, 5, 1 << 40)


def refused(path, *expected, layers=None):
    module = small()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InputError) as caught:
        read_weights(path, module, layers)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    for part in expected:
        assert part in message, message
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_every_truncation_is_noticed(tmp_path):
    path, content = tmp_path / "a.weights", packed(drawn())
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        refused(path)


def test_truncated_and_overlong_files_say_by_how_much_and_where(tmp_path):
    path, content = tmp_path / "a.weights", packed(drawn())
    path.write_bytes(content[:-12])
    refused(path, "in the kernel of layer 4 [convolutional]: 3 of 333 numbers are missing")
    path.write_bytes(content[:-2])
    refused(path, "ends within a number: 2 of its 4 bytes")
    path.write_bytes(content + bytes(8))
    refused(path, "2 numbers more than the 333 of this network")
    path.write_bytes(content[: 20 + 4 * (16 + 108)])
    refused(path, "in the bias of layer 2", "209 of 333", "layers 0 to 1 are whole: for those alone, ask for 2 layers")


def test_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "a.weights"
    path.write_bytes(b"PK\3\4" + bytes(2000))
    refused(path, "no darknet .weights file")
    path.write_bytes(bytes(7))
    refused(path, "7 bytes, less than the header")
    path.write_bytes(packed({}))
    refused(path, "a header and no weights")
    path.unlink()
    refused(path, "cannot read")


@pytest.mark.parametrize(("name", "value"), [("variance", -0.5), ("mean", float("nan")), ("kernel", float("inf"))])
def test_numbers_that_cannot_be_weights_are_refused(tmp_path, name, value):
    stored = drawn()
    stored[2][name].reshape(-1)[1] = value
    path = tmp_path / "a.weights"
    path.write_bytes(packed(stored))
    refused(path, f"the {name} of layer 2 [convolutional]")


def test_the_body_alone_is_read_from_its_own_file_and_from_a_whole_one(tmp_path):
    stored = drawn()
    whole, body = tmp_path / "whole.weights", tmp_path / "body.conv.3"
    whole.write_bytes(packed(stored))
    body.write_bytes(packed({number: stored[number] for number in (0, 2)}))
    for path in (whole, body):
        module = small()
        head = module.layers[4][0].weight.clone()
        read_weights(path, module, 3)
        np.testing.assert_array_equal(module.layers[2][0].weight.detach(), stored[2]["kernel"].astype(np.float32))
        assert torch.equal(module.layers[4][0].weight, head)
    refused(body, "layers 0 to 3 are whole")
    again = tmp_path / "again.conv.3"
    write_weights(again, module, Header(0, 2, 5, 1234), 3)
    assert again.read_bytes() == body.read_bytes()


def test_folded_weights_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="folded"):
        write_weights(tmp_path / "a.weights", fused(small()))


def test_the_published_networks_have_files_of_the_published_sizes(tmp_path):
    path = tmp_path / "a.weights"
    write_weights(path, DarknetNetwork(yolov3_tiny()))
    assert path.stat().st_size == 35_434_956


def test_the_full_network_takes_every_byte_of_its_file_and_its_body_that_of_the_classifier(tmp_path):
    """248 MB, as one number after another: the place of each in the file tells where it must go."""
    path = tmp_path / "a.weights"
    floats = 62_001_757
    with path.open("wb") as file:
        file.write(struct.pack("<iiiQ", 0, 2, 0, 0))
        np.arange(floats, dtype="<f4").tofile(file)
    assert path.stat().st_size == 248_007_048
    module = DarknetNetwork(yolov3())
    read_weights(path, module)
    assert module.layers[0][1].bias[:3].tolist() == [0, 1, 2]
    assert module.layers[0][0].weight.flatten()[0] == 128
    assert module.layers[105][0].weight.flatten()[-1] == np.float32(floats - 1)
    assert stored_floats(module) == floats
    classifier = DarknetNetwork(darknet53())
    read_weights(path, classifier, BODY["darknet53"])
    assert torch.equal(classifier.layers[73][0].weight, module.layers[73][0].weight)
