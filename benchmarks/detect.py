"""YOLOv3: its forward pass, its loss and its way from maps to boxes, against what most repositories write.

forward: the network of 61.9 million parameters on images of 416×416. The plain one is built of the same config: each layer a
Sequential of convolution, normalisation and leaky rectifier, every output kept in a list. Same weights, answers compared.

loss: targets, loss and gradient of a batch of 8 with 20 objects an image, 80 classes, against a loop over images and objects
that fills tables as large as the maps. Losses and gradients compared.

boxes: 10,647 candidates an image to detections, against decoding all of them, scores of all classes, and
torchvision's batched_nms. Detections compared.

Racers take turns; the median counts.

    python benchmarks/detect.py
    python benchmarks/detect.py --only loss --rounds 9
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import batched_nms, box_convert, box_iou

from pendio.detection.darknet.catalogue import yolov3
from pendio.detection.darknet.network import DarknetNetwork
from pendio.detection.darknet.sections import Config, Convolutional, Route, Shortcut, Upsample, Yolo
from pendio.detection.yolo.decoding import detect
from pendio.detection.yolo.losses import YoloLoss
from pendio.detection.yolo.scales import Scale
from pendio.nn.fusion import fused, packed

SIDE, CLASSES = 416, 80
Maps = Sequence[Tensor]


def race(racers: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in racers}
    for _ in range(rounds):
        for name, run in racers.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def table(title: str, found: dict[str, float], rival: str) -> None:
    print(f"\n| {title} | ms | of {rival} |")
    print("| --- | --- | --- |")
    for name, value in found.items():
        print(f"| {name} | {value:.1f} | {value / found[rival]:.2f} |")


def check(name: str, apart: float, most: float) -> None:
    print(f"{name}: apart by {apart:.1e}")
    if not apart <= most:
        raise SystemExit(f"{name}: the racers do not agree")


# Forward


class Plain(nn.Module):
    """The config as most repositories run it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.modules_of = config, nn.ModuleList()
        widths: list[int] = []
        for number, layer in enumerate(config.layers):
            before = widths[-1] if widths else 3
            module, width = nn.Sequential(), before
            if isinstance(layer, Convolutional):
                width = layer.filters
                module.append(
                    nn.Conv2d(before, width, layer.size, layer.stride, layer.margin, bias=not layer.batch_normalize)
                )
                if layer.batch_normalize:
                    module.append(nn.BatchNorm2d(width))
                    module.append(nn.LeakyReLU(0.1))
            elif isinstance(layer, Upsample):
                module.append(nn.Upsample(scale_factor=layer.stride, mode="nearest"))
            elif isinstance(layer, Route):
                width = sum(widths[other if other >= 0 else number + other] for other in layer.layers)
            self.modules_of.append(module)
            widths.append(width)

    def forward(self, values: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        maps = []
        for layer, module in zip(self.config.layers, self.modules_of, strict=True):
            if isinstance(layer, Route):
                values = torch.cat([outputs[other] for other in layer.layers], 1)
            elif isinstance(layer, Shortcut):
                values = outputs[-1] + outputs[layer.source]
            elif isinstance(layer, Yolo):
                maps.append(values)
            else:
                values = module(values)
            outputs.append(values)
        return maps


def settle(network: nn.Module) -> None:
    """Statistics and scales as after training: activations stay near 1."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.2, 0.4, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            module.weight.data.normal_(0, 0.1, generator=generator)


@torch.inference_mode()
def forward(rounds: int, batches: Sequence[int]) -> None:
    network = DarknetNetwork(yolov3()).eval()
    settle(network)
    plain = Plain(network.config).eval()
    plain.load_state_dict(dict(zip(plain.state_dict(), network.state_dict().values(), strict=True)))
    folded = fused(network).to(memory_format=torch.channels_last)
    half = fused(network).to(torch.bfloat16).to(memory_format=torch.channels_last)
    for batch in batches:
        images = torch.rand(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(batch))
        nhwc = images.contiguous(memory_format=torch.channels_last)
        ready = packed(network, images)
        racers: dict[str, Callable[[], Maps]] = {
            "plain": lambda images=images: plain(images),
            "pendio, folded": lambda nhwc=nhwc: folded(nhwc),
            "pendio, packed": lambda nhwc=nhwc, ready=ready: ready(nhwc),
            "pendio, bf16": lambda nhwc=nhwc: half(nhwc.bfloat16()),
        }
        answers = {name: run() for name, run in racers.items()}
        for name in ("pendio, folded", "pendio, packed"):
            apart = max(
                float((a - b).abs().max() / a.std()) for a, b in zip(answers["plain"], answers[name], strict=True)
            )
            check(f"maps of {name}, in standard deviations", apart, 1e-4)
        if not torch.cpu._is_avx512_bf16_supported():
            del racers["pendio, bf16"]
            print("bf16: not run, this processor computes it by way of float32")
        table(f"forward, batch {batch}", race(racers, rounds), "plain")


# Loss


def scene(batch: int, objects: int) -> tuple[list[Tensor], tuple[Scale, ...], Tensor, Tensor]:
    """Maps, scales, boxes and labels of random objects."""
    generator = torch.Generator().manual_seed(0)
    anchors = yolov3().layers[82].anchors  # type: ignore[union-attr]
    scales = tuple(Scale(stride, anchors[first : first + 3]) for stride, first in ((32, 6), (16, 3), (8, 0)))
    maps = [
        torch.randn(batch, 3 * (5 + CLASSES), SIDE // s.stride, SIDE // s.stride, generator=generator) for s in scales
    ]
    for raw in maps:
        raw.unflatten(1, (3, -1))[:, :, 2:4].mul_(0.3)
    sides = torch.exp(torch.rand(batch, objects, 2, generator=generator) * 3 + 2.3)
    centers = sides / 2 + torch.rand(batch, objects, 2, generator=generator) * (SIDE - sides)
    boxes = torch.cat([centers - sides / 2, centers + sides / 2], -1)
    return maps, scales, boxes, torch.randint(CLASSES, (batch, objects), generator=generator)


def looped(maps: Maps, scales: Sequence[Scale], boxes: Tensor, labels: Tensor, ignore: float) -> Tensor:
    """Darknet's loss, image by image and object by object, on tables as large as the maps."""
    total = maps[0].new_zeros(())
    anchors = torch.tensor([anchor for scale in scales for anchor in scale.anchors])
    tables = []
    for raw, scale in zip(maps, scales, strict=True):
        batch, _, height, width = raw.shape
        answers = raw.view(batch, 3, 5 + CLASSES, height, width).permute(0, 1, 3, 4, 2).contiguous()
        down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        center = (answers[..., :2].sigmoid() + torch.stack([across, down], -1)) * scale.stride
        sides = answers[..., 2:4].exp() * torch.tensor(scale.anchors).view(1, 3, 1, 1, 2)
        predicted = box_convert(torch.cat([center, sides], -1).detach(), "cxcywh", "xyxy")
        target, weight = torch.zeros_like(answers), torch.zeros(batch, 3, height, width)
        positive, silent = torch.zeros_like(weight).bool(), torch.zeros_like(weight).bool()
        for image in range(batch):
            overlap = box_iou(predicted[image].reshape(-1, 4), boxes[image]).amax(1)
            silent[image] = (overlap > ignore).view(3, height, width)
        tables.append((answers, target, weight, positive, silent))
    for image in range(len(boxes)):
        for box, label in zip(boxes[image], labels[image], strict=True):
            x, y, w, h = box_convert(box, "xyxy", "cxcywh").tolist()
            shapes = torch.minimum(anchors, torch.tensor([w, h])).prod(1)
            best = int((shapes / (anchors.prod(1) + w * h - shapes)).argmax())
            number, anchor = divmod(best, 3)
            stride, (p, q) = scales[number].stride, scales[number].anchors[anchor]
            row, column = int(y / stride), int(x / stride)
            _, target, weight, positive, _ = tables[number]
            place = (image, anchor, row, column)
            target[place] = 0
            target[place][:5] = torch.tensor(
                [x / stride - column, y / stride - row, torch.tensor(w / p).log(), torch.tensor(h / q).log(), 1]
            )
            target[place][5 + int(label)] = 1
            weight[place], positive[place] = 2 - w * h / SIDE**2, True
    for answers, target, weight, positive, silent in tables:
        judged = positive | ~silent
        center = F.binary_cross_entropy_with_logits(answers[..., :2], target[..., :2], reduction="none")
        sides = (answers[..., 2:4] - target[..., 2:4]) ** 2 / 2
        total = total + ((center + sides).sum(-1) * weight)[positive].sum()
        total = total + F.binary_cross_entropy_with_logits(
            answers[..., 4][judged], target[..., 4][judged], reduction="sum"
        )
        total = total + F.binary_cross_entropy_with_logits(
            answers[..., 5:][positive], target[..., 5:][positive], reduction="sum"
        )
    return total


def loss(rounds: int, objects: int = 20) -> None:
    given, scales, boxes, labels = scene(8, objects)
    crowd = torch.zeros_like(labels, dtype=torch.bool)
    maps = [raw.requires_grad_() for raw in given]
    ours = YoloLoss("darknet", scales, CLASSES, ignore=0.7)
    racers: dict[str, Callable[[], Tensor]] = {
        "looped": lambda: looped(maps, scales, boxes, labels, 0.7),
        "pendio": lambda: sum(ours(maps, boxes, labels, crowd, SIDE)),  # type: ignore[arg-type, return-value]
    }
    both = {name: (run(), torch.autograd.grad(run(), maps)) for name, run in racers.items()}
    (total, gradients), (other, others) = both["looped"], both["pendio"]
    check("losses", float((total - other).detach().abs() / total.detach()), 1e-4)
    check("gradients", max(float((a - b).abs().max()) for a, b in zip(gradients, others, strict=True)), 1e-4)
    timed = race({name: lambda run=run: torch.autograd.grad(run(), maps) for name, run in racers.items()}, rounds)
    table(f"targets, loss, gradient; batch 8, {objects} objects", timed, "looped")


# Boxes


def full(maps: Maps, scales: Sequence[Scale], threshold: float, limit: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Everything decoded, then thresholded, then suppressed."""
    boxes, scores = [], []
    for raw, scale in zip(maps, scales, strict=True):
        batch, _, height, width = raw.shape
        answers = raw.view(batch, 3, 5 + CLASSES, height, width).permute(0, 1, 3, 4, 2)
        down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        center = (answers[..., :2].sigmoid() + torch.stack([across, down], -1)) * scale.stride
        sides = answers[..., 2:4].exp() * torch.tensor(scale.anchors).view(1, 3, 1, 1, 2)
        boxes.append(torch.cat([center - sides / 2, center + sides / 2], -1).reshape(batch, -1, 4))
        scores.append((answers[..., 4:5].sigmoid() * answers[..., 5:].sigmoid()).reshape(batch, -1, CLASSES))
    found = []
    for places, sure in zip(torch.cat(boxes, 1), torch.cat(scores, 1), strict=True):
        which, labels = (sure > threshold).nonzero(as_tuple=True)
        kept = batched_nms(places[which], sure[which, labels], labels, 0.45)[:limit]
        found.append((places[which[kept]], sure[which[kept], labels[kept]], labels[kept]))
    return found


@torch.inference_mode()
def boxes(rounds: int, batches: Sequence[int]) -> None:
    for batch in batches:
        maps, scales, *_ = scene(batch, 1)
        for raw in maps:  # few answers are sure of something, and of few classes
            answers = raw.unflatten(1, (3, -1))
            answers[:, :, 4].mul_(3).sub_(9)
            answers[:, :, 5:].mul_(2).sub_(6)
        for threshold, limit in ((0.25, 300), (0.005, 100_000)):
            racers: dict[str, Callable[[], Sequence[tuple[Tensor, ...]]]] = {
                "full": lambda m=maps, s=scales, t=threshold, most=limit: full(m, s, t, most),
                "pendio": lambda m=maps, s=scales, t=threshold, most=limit: detect(m, s, threshold=t, limit=most),
            }
            theirs, ours = racers["full"](), racers["pendio"]()
            kept = sum(len(found[1]) for found in ours)
            check(f"number of detections at {threshold}, {kept}", abs(kept - sum(len(found[1]) for found in theirs)), 0)
            apart = max(float((a[1] - b[1]).abs().max()) for a, b in zip(theirs, ours, strict=True) if len(a[1]))
            check(f"scores at {threshold}", apart, 1e-5)
            table(f"boxes, batch {batch}, threshold {threshold}", race(racers, rounds), "full")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("forward", "loss", "boxes"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {SIDE}×{SIDE}, {CLASSES} classes")
    if options.only in (None, "forward"):
        forward(options.rounds, options.batches)
    if options.only in (None, "loss"):
        loss(options.rounds)
    if options.only in (None, "boxes"):
        boxes(options.rounds, options.batches)


if __name__ == "__main__":
    main()
