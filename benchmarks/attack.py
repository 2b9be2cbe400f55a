"""Attacking: pendio's PGD against torchattacks' and foolbox's, on the same images, network and ε.

A ResNet-18 of timm, its last layer fitted in closed form so that it tells the digits apart when they are shown at 224×224:
random features and a head that knows something, for no weights can be downloaded. All racers take the same ε in L∞, the
same step of a quarter of it and the same number of steps, from random starts; a round runs each once, and the median
counts. Success is measured by the same function for all: the share of images whose class changed, as floats and in 8 bits.

    pip install --no-deps torchattacks foolbox eagerpy gitpython gitdb smmap && pip install requests
    python benchmarks/attack.py
"""

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable

import timm
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from pendio.ascent.attacks.goal import Goal, eight_bit
from pendio.ascent.attacks.gradient import PGD
from pendio.nn.network import Network

Racer = Callable[[torch.nn.Module, Tensor, Tensor, int, float], Tensor]


def victim() -> Network:
    """A network that reads enlarged digits, with a head fitted by ridge regression."""
    torch.manual_seed(0)
    body = timm.create_model("resnet18", num_classes=0)
    with torch.no_grad():
        body.train()
        body(digits(0, 64)[0])  # statistics of batch normalisation
        body.eval()
        images, labels = digits(0, 512)
        features = torch.cat([body(part) for part in images.split(64)])
        center = features.mean(0)
        wanted = F.one_hot(labels, 10).float() - 0.1
        gram = (features - center).T @ (features - center)
        weights = torch.linalg.solve(gram + 1e-3 * gram.diag().mean() * torch.eye(512), (features - center).T @ wanted)
        head = torch.nn.Linear(512, 10)
        head.weight.data, head.bias.data = 10 * weights.T, -10 * center @ weights
    module = torch.nn.Sequential(body, head).eval()
    return Network(module, (3, 224, 224), [0.0] * 3, [1.0] * 3, [str(digit) for digit in range(10)]).eval()


def digits(start: int, count: int) -> tuple[Tensor, Tensor]:
    """Digits as colour images of 224×224 in steps of 1/255."""
    bunch = load_digits()
    small = torch.from_numpy(bunch.images[start : start + count]).float()[:, None] / 16
    images = F.interpolate(small, (224, 224), mode="bilinear").expand(-1, 3, -1, -1)
    return eight_bit(images), torch.from_numpy(bunch.target[start : start + count])


def by_pendio(precision: str) -> Racer:
    def race(network: torch.nn.Module, images: Tensor, labels: Tensor, steps: int, epsilon: float) -> Tensor:
        attack = PGD(epsilon=epsilon, steps=steps, step=epsilon / 4)
        return attack(network, images, Goal(labels), precision=precision).images

    return race


def by_torchattacks(network: torch.nn.Module, images: Tensor, labels: Tensor, steps: int, epsilon: float) -> Tensor:
    import torchattacks

    return torchattacks.PGD(network, eps=epsilon, alpha=epsilon / 4, steps=steps)(images, labels)


def by_foolbox(network: torch.nn.Module, images: Tensor, labels: Tensor, steps: int, epsilon: float) -> Tensor:
    import foolbox

    model = foolbox.PyTorchModel(network, bounds=(0, 1), device="cpu")
    attack = foolbox.attacks.LinfPGD(abs_stepsize=epsilon / 4, steps=steps)
    return attack(model, images, labels, epsilons=epsilon)[1]


def by_plain_loop(network: torch.nn.Module, images: Tensor, labels: Tensor, steps: int, epsilon: float) -> Tensor:
    """What one writes by hand: every image takes every step."""
    points = (images + epsilon * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
    for _ in range(steps):
        points.requires_grad_(True)
        loss = F.cross_entropy(network(points), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, [points])
        points = points.detach() + epsilon / 4 * gradient.sign()
        points = (images + (points - images).clamp(-epsilon, epsilon)).clamp(0, 1)
    return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, nargs="*", default=[10, 40])
    parser.add_argument("--batches", type=int, nargs="*", default=[8, 32])
    parser.add_argument("--epsilon", type=float, default=8, help="in 255ths")
    options = parser.parse_args()
    epsilon = options.epsilon / 255
    warnings.simplefilter("ignore")
    racers: dict[str, Racer] = {
        "pendio": by_pendio("float32"),
        "pendio, bf16": by_pendio("bf16"),
        "loop": by_plain_loop,
    }
    peers = {"torchattacks": by_torchattacks, "foolbox": by_foolbox}
    racers |= {name: race for name, race in peers.items() if importlib.util.find_spec(name)}
    network = victim()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; ε = {options.epsilon:g}/255, {options.rounds} rounds"
    )
    print("| PGD | batch | racer | seconds | success | in 8 bits |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch in options.batches:
        images, labels = digits(900, batch)
        with torch.no_grad():
            labels = network(images).argmax(1)
        for race in racers.values():
            race(network, images[:2], labels[:2], 1, epsilon)
        for steps in options.steps:
            seconds: dict[str, list[float]] = {name: [] for name in racers}
            found: dict[str, Tensor] = {}
            for _ in range(options.rounds):
                for name, race in racers.items():
                    began = time.perf_counter()
                    found[name] = race(network, images, labels, steps, epsilon).detach()
                    seconds[name].append(time.perf_counter() - began)
            medians = {name: statistics.median(values) for name, values in seconds.items()}
            for name, images_found in found.items():
                with torch.no_grad():
                    plain, saved = (
                        float((network(made).argmax(1) != labels).float().mean())
                        for made in (images_found, eight_bit(images_found))
                    )
                assert float((images_found - images).abs().max()) <= epsilon + 1e-5, name
                print(
                    f"| {steps} steps | {batch} | {name} | {medians[name]:.2f} | {plain:.0%} | {saved:.0%} |",
                    flush=True,
                )
            for ours in ("pendio", "pendio, bf16"):
                ratios = [
                    f"{medians[ours] / medians[name]:.2f} × {name}" for name in racers if not name.startswith("pendio")
                ]
                print(f"{ours}: {', '.join(ratios)}", flush=True)


if __name__ == "__main__":
    main()
