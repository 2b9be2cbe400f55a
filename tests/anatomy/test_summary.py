import resource

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pendio.anatomy.summary import summarize
from pendio.classification.models import MODELS


class Recorder:
    """Output shapes of a real forward pass, layer by layer."""

    def __init__(self, module, shape):
        self.shapes = []
        handles = [
            layer.register_forward_hook(lambda layer, inputs, output: self.shapes.append(tuple(output.shape[1:])))
            for layer in module.modules()
            if not list(layer.children())
        ]
        module.eval()(torch.zeros(1, *shape))
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("name", [*MODELS, "timm:resnet18", "timm:mobilenetv3_small_100"])
def test_shapes_equal_those_of_a_real_forward_pass(name):
    module = timm.create_model(name[5:]) if name.startswith("timm:") else MODELS[name][1]((3, 32, 32))
    counted = summarize(module, (3, 32, 32))
    leaves = [layer.output for layer in counted.layers if layer.name not in counted.parts]
    assert leaves == Recorder(module, (3, 32, 32)).shapes
    assert counted.parameters == sum(p.numel() for p in module.parameters())


def test_counts_follow_the_formulas():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 5, 7))
    counted = summarize(layers, (3, 6, 5))
    convolution, _, _, linear = counted.layers
    assert (convolution.parameters, convolution.multiply_adds) == (3 * 3 * 3 * 8 + 8, 3 * 3 * 3 * 8 * 6 * 5)
    assert (linear.parameters, linear.multiply_adds) == (240 * 7 + 7, 240 * 7)
    assert counted.multiply_adds == convolution.multiply_adds + linear.multiply_adds


def test_a_layer_used_twice_counts_its_parameters_once_and_its_work_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    counted = summarize(Twice(), (4,))
    assert [layer.parameters for layer in counted.layers] == [20, 0]
    assert (counted.parameters, counted.multiply_adds) == (20, 32)


def test_the_network_is_left_as_it_was_and_nothing_is_allocated():
    module = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    summarize(module, (4,))
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.device("meta"):
        huge = nn.Sequential(*[nn.Linear(40_000, 40_000) for _ in range(4)])  # 25 GB if it had values
    assert summarize(huge, (40_000,)).parameters == 4 * (40_000**2 + 40_000)


def test_an_input_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"cannot take an input of shape \(3, 8, 8\)"):
        summarize(nn.Linear(5, 2), (3, 8, 8))


TIMM = (
    "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "densenet121", "vgg11", "mobilenetv2_100",
    "mobilenetv3_small_050", "efficientnet_b0", "tf_efficientnet_lite0", "regnety_002", "convnext_atto", "convnextv2_atto",
    "vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224", "xception41",
    "repvgg_a0", "inception_v3",
)  # fmt: skip


@pytest.mark.parametrize("name", TIMM)
def test_totals_are_those_that_torch_counts_itself(name):
    with torch.device("meta"):
        module = timm.create_model(name).eval()
        size = timm.get_pretrained_cfg(name).input_size
        counted = summarize(module, size)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.zeros(1, *size))
    assert counted.multiply_adds == counter.get_total_flops() // 2
    assert counted.parameters == sum(p.numel() for p in module.parameters())
    assert counted.unknown == ()
    by_row = sum(layer.parameters for layer in counted.layers)
    assert by_row == counted.parameters, "each parameter stands in exactly one row"


def test_attention_costs_two_products():
    class Attention(nn.Module):
        def forward(self, x):
            heads = x.view(1, 5, 2, 4).transpose(1, 2)
            return nn.functional.scaled_dot_product_attention(heads, heads, heads)

    assert summarize(Attention(), (5, 8)).multiply_adds == 2 * (5 * 5 * 4) * 2


def test_a_transposed_convolution_is_counted_by_its_inputs():
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2)
    assert summarize(layer, (4, 5, 5)).multiply_adds == 5 * 5 * 4 * 6 * 9


def test_what_is_not_known_is_said_and_not_counted_as_nothing():
    class Fourier(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x).real

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix = Fourier()
            self.out = nn.Linear(8, 2)

        def forward(self, x):
            return self.out(self.mix(x))

    counted = summarize(Mixed(), (8,))
    assert counted.unknown == ("_fft_r2c",) or "fft" in counted.unknown[0]
    mix, out = counted.layers
    assert mix.unknown == counted.unknown
    assert (out.unknown, out.multiply_adds) == ((), 16)


def test_seven_billion_parameters_are_counted_in_no_memory():
    with torch.device("meta"):
        block = nn.TransformerEncoderLayer(4096, 32, 16384, batch_first=True, norm_first=True)
        module = nn.TransformerEncoder(block, 35, enable_nested_tensor=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counted = summarize(module, (16, 4096))
    assert counted.parameters > 7e9
    assert counted.multiply_adds > 16 * 7e9 * 0.99
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_bytes_are_those_of_the_outputs():
    counted = summarize(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 10, 10))
    assert [layer.bytes for layer in counted.layers] == [8 * 8 * 8 * 4] * 2
    assert counted.bytes == 2 * 8 * 8 * 8 * 4


def test_a_depth_adds_up_what_is_below():
    module = timm.create_model("vit_tiny_patch16_224")
    counted = summarize(module, (3, 224, 224))
    for depth in (1, 2, 3, 9):
        rows = counted.to_depth(depth)
        assert sum(row.parameters for row in rows) == counted.parameters
        assert sum(row.multiply_adds for row in rows) == counted.multiply_adds
        assert sum(row.bytes for row in rows) == counted.bytes
        assert max(row.name.count(".") for row in rows) < depth
    assert [row.name for row in counted.to_depth(1)][:3] == ["patch_embed", "pos_drop", "patch_drop"]
    assert next(row for row in counted.to_depth(1) if row.name == "blocks").kind == "Sequential"
