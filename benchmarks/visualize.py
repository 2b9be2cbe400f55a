"""Feature visualisation: a layer's channels by pendio, in one batch, and by torch-lucent, one after another.

EfficientNet-Lite0 with its weights; the same channels, size and number of steps, each racer with its own standard views and
learning rate. How far each came is measured by the same function: the channel's mean activation on the plain image, saved
in 8 bits, relative to the largest among the embedded photographs.

    pip install --no-deps torch-lucent kornia==0.4.1 decorator && pip install ipython
    python benchmarks/visualize.py
"""

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

import pendio
from pendio.ascent import objectives
from pendio.ascent.attacks.goal import eight_bit
from pendio.ascent.audit import look, real_photos
from pendio.ascent.climb import climb
from pendio.ascent.rules import Adam
from pendio.ascent.transforms import Wobble
from pendio.ascent.visualize import make_canvas
from pendio.nn.network import Network

Racer = Callable[[Network, str, int, int, int], Tensor]


def by_pendio(precision: str) -> Racer:
    def race(network: Network, layer: str, count: int, side: int, steps: int) -> Tensor:
        canvas, start = make_canvas("spectrum", (3, side, side), real_photos(side), count, 0)
        objective = objectives.channel(layer, torch.arange(count))
        return climb(
            network,
            objective,
            canvas,
            start,
            rule=Adam(0.1),
            steps=steps,
            wobble=Wobble.for_side(side),
            precision=precision,
        ).images

    return race


def by_lucent(network: Network, layer: str, count: int, side: int, steps: int) -> Tensor:
    from lucent.optvis import param, render

    module = network.module
    images = []
    for number in range(count):
        made = render.render_vis(
            module, f"{layer.replace('.', '_')}:{number}", lambda: param.image(side), thresholds=(steps,), progress=False,
            show_image=False, verbose=False,
        )  # fmt: skip
        images.append(torch.from_numpy(made[-1]).permute(0, 3, 1, 2))
    return torch.cat(images).float()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="blocks.2")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    racers: dict[str, Racer] = {"pendio": by_pendio("float32"), "pendio, bf16": by_pendio("bf16")}
    if importlib.util.find_spec("lucent"):
        racers["torch-lucent"] = by_lucent
    network = pendio.load("efficientnet-lite0")
    objective = objectives.channel(options.layer, torch.arange(options.channels))
    real = real_photos(224)
    highest = torch.stack(
        [look(network, objective, real, torch.full((len(real),), n)) for n in range(options.channels)]
    ).amax(1)
    seconds: dict[str, list[float]] = {name: [] for name in racers}
    reached: dict[str, float] = {}
    for race in racers.values():
        race(network, options.layer, 1, options.side, 1)
    for _ in range(options.rounds):
        for name, race in racers.items():
            began = time.perf_counter()
            images = race(network, options.layer, options.channels, options.side, options.steps)
            seconds[name].append(time.perf_counter() - began)
            values = look(network, objective, eight_bit(images), torch.arange(options.channels))
            reached[name] = float((values / highest).median())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {options.channels} channels of {options.layer}, "
          f"{options.side}×{options.side}, {options.steps} steps")  # fmt: skip
    print("| racer | seconds | activation, times the highest photo's (median channel) |")
    print("| --- | --- | --- |")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"| {name} | {value:.1f} | {reached[name]:.1f} |")
    if "torch-lucent" in medians:
        for name in racers:
            print(f"{name}/torch-lucent: {medians[name] / medians['torch-lucent']:.2f}")


if __name__ == "__main__":
    main()
