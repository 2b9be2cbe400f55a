"""Style transfer: pendio against a plain L-BFGS implementation of Gatys et al., on the same network and losses.

EfficientNet-Lite0 with its weights, the coffee in the style of the brick wall at 512 pixels, from the content. Both
minimise the same relative losses by torch's L-BFGS for as many evaluations; pendio by default takes as many again at a
smaller size first. The plain one runs the whole network with hooks on it and lets gradients flow into the weights, as
scripts of this kind do. The loss reached is measured by the same function.

    python benchmarks/style.py
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import pendio
from pendio.ascent.levels import levels
from pendio.ascent.style import Recipe, StyleImage, stylize
from pendio.data.embedded import photo
from pendio.nn.network import Network

STYLE_WEIGHT = 100.0


def by_pendio(scales: int) -> Callable[[Network, Tensor, Tensor, int], Tensor]:
    def race(network: Network, content: Tensor, style: Tensor, steps: int) -> Tensor:
        recipe = Recipe(steps=steps, smooth=0.0, style_weight=STYLE_WEIGHT, scales=scales)
        return stylize(network, content, [StyleImage(style)], recipe).image

    return race


def hooked(network: Network, layers: list[str]) -> dict[str, Tensor]:
    """Hooks that keep what layers put out, for as long as the network lives."""
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: kept.__setitem__(name, output.clone())

    for name in layers:
        network.module.get_submodule(name).register_forward_hook(keep(name))
    return kept


def gram(maps: Tensor) -> Tensor:
    flat = maps.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def by_plain_script(network: Network, content: Tensor, style: Tensor, steps: int) -> Tensor:
    layers = levels(network)
    network = pendio.load("efficientnet-lite0").requires_grad_(True).eval()
    kept = hooked(network, layers)
    with torch.no_grad():
        network.module(network.normalize(style))
        grams = {name: gram(kept[name]) for name in layers}
        network.module(network.normalize(content))
        wanted = kept[layers[2]].clone()
    image = content.clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([image], max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0)

    def closure() -> Tensor:
        optimizer.zero_grad()
        network.module(network.normalize(image))
        loss = (kept[layers[2]] - wanted).square().sum() / wanted.square().sum()
        for name in layers:
            loss = (
                loss
                + STYLE_WEIGHT
                / len(layers)
                * (gram(kept[name]) - grams[name]).square().sum()
                / grams[name].square().sum()
            )
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
        with torch.no_grad():
            image.clamp_(0, 1)
    return image.detach()


@torch.no_grad()
def loss_of(network: Network, content: Tensor, style: Tensor, image: Tensor) -> float:
    layers = levels(network)
    kept = hooked(network, layers)
    outputs = []
    for picture in (content, style, image):
        network.module(network.normalize(picture))
        outputs.append({name: kept[name].clone() for name in layers})
    before, wanted, found = outputs
    middle = layers[2]
    loss = F.mse_loss(found[middle], before[middle]) / before[middle].square().mean()
    for name in layers:
        apart = (gram(found[name]) - gram(wanted[name])).square().sum() / gram(wanted[name]).square().sum()
        loss = loss + STYLE_WEIGHT / len(layers) * apart
    return float(loss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    side = options.side
    content, style = (
        F.interpolate(photo(name)[None].float() / 255, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
        for name in ("coffee", "brick")
    )
    racers = {"pendio, one size": by_pendio(1), "pendio, two sizes": by_pendio(2), "plain": by_plain_script}
    seconds: dict[str, list[float]] = {name: [] for name in racers}
    losses = {}
    network = pendio.load("efficientnet-lite0")
    for _ in range(options.rounds):
        for name, race in racers.items():
            began = time.perf_counter()
            image = race(network, content, style, options.steps)
            seconds[name].append(time.perf_counter() - began)
            losses[name] = loss_of(pendio.load("efficientnet-lite0"), content, style, image)
    begin = loss_of(pendio.load("efficientnet-lite0"), content, style, content)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {side}×{side}, {options.steps} steps; loss of the "
          f"content: {begin:.2f}")  # fmt: skip
    print("| racer | seconds | loss |")
    print("| --- | --- | --- |")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"| {name} | {value:.1f} | {losses[name]:.2f} |")
    for name in ("pendio, one size", "pendio, two sizes"):
        print(f"{name}/plain: {medians[name] / medians['plain']:.2f}")


if __name__ == "__main__":
    main()
