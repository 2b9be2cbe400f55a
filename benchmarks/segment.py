"""Training a U-Net with a ResNet-34 as its way down: pendio against segmentation-models-pytorch.

One step is forward, cross-entropy, backward and Adam, on 4 random images of 256×256 pixels and 11 classes, each racer with
random weights. Parameters must agree within 1 % and outputs in shape. Both get the same memory layout; pendio has the fused
Adam of its plans, the peer the one that torch gives by default, and at the end of a round both have taken one step. Racers
alternate in one process; the medians count. bfloat16 is autocast, and helps where the processor has instructions for it.

segmentation-models-pytorch is installed by hand, for it is no part of pendio's environment; timm, torchvision and
safetensors, which it needs too, are there:

    pip install --no-deps segmentation-models-pytorch
    python benchmarks/segment.py
"""

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from pendio.classification.backbones import backbone
from pendio.segmentation.networks.encoded import EncodedUNet

CLASSES = 11
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def by_pendio() -> nn.Module:
    return EncodedUNet(backbone("timm:resnet34", pretrained=False, strides=(2, 4, 8, 16, 32)), CLASSES)


def by_smp() -> nn.Module:
    try:
        from segmentation_models_pytorch import Unet
    except ImportError:
        raise SystemExit("the peer is not installed: pip install --no-deps segmentation-models-pytorch") from None
    return Unet("resnet34", encoder_weights=None, classes=CLASSES)


def stepper(
    network: nn.Module, fused: bool, precision: str, options: argparse.Namespace
) -> Callable[[], tuple[int, ...]]:
    """A training step, which returns the shape of the logits."""
    layout = LAYOUTS[options.layout]
    network = network.to(memory_format=layout).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, fused=fused or None)
    running = torch.compile(network) if options.compile else network
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.batch, 3, options.side, options.side, generator=generator).contiguous(
        memory_format=layout
    )
    masks = torch.randint(CLASSES, (options.batch, options.side, options.side), generator=generator)

    def step() -> tuple[int, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = running(images)
            loss = F.cross_entropy(logits, masks)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return tuple(logits.shape)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precisions", nargs="+", choices=["float32", "bf16"], default=["float32", "bf16"])
    parser.add_argument("--layout", choices=list(LAYOUTS), default="contiguous")
    parser.add_argument("--compile", action="store_true", help="compile both networks")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, segmentation-models-pytorch "
          f"{importlib.metadata.version('segmentation-models-pytorch')}; {options.batch}×3×{options.side}², {options.layout}"
          f"{', compiled' if options.compile else ''}")  # fmt: skip
    steps, seconds, sizes = {}, {}, {}
    for precision in options.precisions:
        for name, make in (("pendio", by_pendio), ("smp", by_smp)):
            network = make()
            sizes[name] = sum(parameter.numel() for parameter in network.parameters())
            steps[name, precision] = stepper(network, name == "pendio", precision, options)
            seconds[name, precision] = list[float]()
    shapes = {step() for step in steps.values()}
    if len(shapes) > 1 or abs(sizes["pendio"] / sizes["smp"] - 1) > 0.01:
        raise SystemExit(f"the racers are not equal: outputs {shapes}, parameters {sizes}")
    for _ in range(options.rounds):
        for racer, step in steps.items():
            began = time.perf_counter()
            step()
            seconds[racer].append(time.perf_counter() - began)
    medians = {racer: statistics.median(values) for racer, values in seconds.items()}
    print("| racer | parameters | precision | seconds a step |")
    print("| --- | --- | --- | --- |")
    for (name, precision), median in medians.items():
        print(f"| {name} | {sizes[name]:,} | {precision} | {median:.3f} |")
    reference = medians.get(("smp", "float32"), medians["smp", options.precisions[0]])
    for precision in options.precisions:
        print(f"pendio {precision}/smp {precision}: {medians['pendio', precision] / medians['smp', precision]:.2f}; "
              f"of smp {options.precisions[0]}: {medians['pendio', precision] / reference:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
