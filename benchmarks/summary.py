"""Counting networks: pendio's summary against torchinfo, fvcore, and a real forward pass.

For each of ten models of timm, in turn: seconds and the growth of the process's memory until parameters and multiply-adds
are known, for one image of the model's own size. The network is made first and not timed; where a racer can work on the
meta device it gets the network there, else with its weights in memory. Each racer runs in a new process, three times, the
median counts; a first small count loads what each racer imports.

    pip install 'pendio[bench]'
    python benchmarks/summary.py
"""

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import timm
import torch
from torch import nn

MODELS = (
    "resnet18", "resnet50", "vgg16", "densenet121", "efficientnet_b0", "mobilenetv3_large_100", "convnext_base",
    "swin_base_patch4_window7_224", "vit_base_patch16_224", "vit_huge_patch14_224",
)  # fmt: skip

Counted = tuple[int, int]
"""Parameters and multiply-adds."""


def by_pendio(module: nn.Module, shape: tuple[int, ...]) -> Counted:
    from pendio.anatomy.summary import summarize

    counted = summarize(module, shape)
    return counted.parameters, counted.multiply_adds


def by_torchinfo(module: nn.Module, shape: tuple[int, ...]) -> Counted:
    import torchinfo

    counted = torchinfo.summary(module, (1, *shape), verbose=0, device="cpu")
    return counted.total_params, counted.total_mult_adds


def by_fvcore(module: nn.Module, shape: tuple[int, ...]) -> Counted:
    import logging

    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    analysis = FlopCountAnalysis(module.eval(), torch.zeros(1, *shape))
    return sum(parameter.numel() for parameter in module.parameters()), int(analysis.total())


@torch.no_grad()
def by_running(module: nn.Module, shape: tuple[int, ...]) -> Counted:
    module.eval()(torch.zeros(1, *shape))
    return sum(parameter.numel() for parameter in module.parameters()), 0


RACERS: dict[str, Callable[[nn.Module, tuple[int, ...]], Counted]] = {
    "pendio": by_pendio,
    "torchinfo": by_torchinfo,
    "fvcore": by_fvcore,
    "forward": by_running,
}


def race(racer: str, model: str) -> None:
    """In a process of its own: count, and print what came out as JSON."""
    warnings.simplefilter("ignore")
    count = RACERS[racer]
    count(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)), (3, 8, 8))
    with torch.device("meta" if racer == "pendio" else "cpu"):
        module = timm.create_model(model)
    shape = timm.get_pretrained_cfg(model).input_size
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    parameters, operations = count(module, shape)
    seconds = time.perf_counter() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": seconds, "mb": grown / 1024, "parameters": parameters, "operations": operations}))


def measured(racer: str, model: str, rounds: int) -> dict[str, float]:
    results = []
    for _ in range(rounds):
        command = [sys.executable, __file__, "--race", racer, model]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        results.append(json.loads(output.splitlines()[-1]))
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each racer runs")
    parser.add_argument("--models", type=int, default=len(MODELS), help="how many of the models")
    parser.add_argument("--race", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.race:
        race(*options.race)
        return
    racers = [name for name in RACERS if name in ("pendio", "forward") or importlib.util.find_spec(name)]
    print(f"| model | {' | '.join(f'{name}, s (MB)' for name in racers)} | multiply-adds, G |")
    print("| --- " * (len(racers) + 2) + "|")
    for model in MODELS[: options.models]:
        results = {racer: measured(racer, model, options.rounds) for racer in racers}
        cells = " | ".join(f"{result['seconds']:.2f} ({result['mb']:.0f})" for result in results.values())
        counts = ", ".join(f"{result['operations'] / 1e9:.3f}" for name, result in results.items() if name != "forward")
        print(f"| {model} | {cells} | {counts} |", flush=True)


if __name__ == "__main__":
    main()
