"""The Fréchet distance of two sets of features: pendio against torchmetrics and torch-fidelity.

All get the means and covariances of the same float64 features and give the distance; how features come about is the same for
all and not timed. In each width one pair of sets has twice as many examples as dimensions, and one a quarter as many, where
covariances are singular; of few examples pendio keeps the centred rows, and its time includes centring them. The truth is
computed once by singular values of roots. Spectra fall like 1/rank, as those of image features do. Racers alternate in one
process; the medians count.

torch-fidelity is no part of pendio's environment:

    pip install --no-deps torch-fidelity
    python benchmarks/quality.py

Without it the route of pytorch-fid, written out, takes its place: the square root of the product of the covariances by
scipy.linalg.sqrtm, with 10⁻⁶ added to their diagonals where that is not finite, and the real part of its trace.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
import torch
import torchmetrics
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from pendio.generation.quality.frechet import Moments, frechet_distance

try:
    from torch_fidelity.metric_fid import fid_statistics_to_metric
except ImportError:
    fid_statistics_to_metric = None


def features(count: int, width: int, seed: int) -> Tensor:
    """Gaussian, with variances 1/rank along random axes, about means that differ with the seed."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64))[0]
    scale = torch.arange(1, width + 1, dtype=torch.float64).rsqrt()
    shift = 0.1 * torch.randn(width, generator=generator, dtype=torch.float64)
    return torch.randn(count, width, generator=generator, dtype=torch.float64) * scale @ axes + shift


def by_sqrtm(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> float:
    """The route of pytorch-fid."""
    product = first["sigma"] @ second["sigma"]
    root = scipy.linalg.sqrtm(product)
    if not np.isfinite(root).all():
        offset = 1e-6 * np.eye(len(product))
        root = scipy.linalg.sqrtm((first["sigma"] + offset) @ (second["sigma"] + offset))
    means = first["mu"] - second["mu"]
    return float(means @ means + np.trace(first["sigma"]) + np.trace(second["sigma"]) - 2 * np.trace(root.real))


def by_fidelity(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> float:
    """The route of torch-fidelity."""
    return float(fid_statistics_to_metric(first, second, verbose=False)["frechet_inception_distance"])


def truth(left: Tensor, right: Tensor) -> float:
    """‖A_cB_cᵀ‖₊ of the centred features, by singular values, whatever their number."""
    roots = [torch.linalg.qr((side - side.mean(0)) / (len(side) - 1) ** 0.5).R for side in (left, right)]
    overlap = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    spread = sum(root.square().sum() for root in roots)
    return float((left.mean(0) - right.mean(0)).square().sum() + spread - 2 * overlap)


def timed(work: Callable[[], float]) -> tuple[float, float]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def by_torchmetrics(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> float:
    """The eigenvalues of the product of the covariances."""
    given = [torch.from_numpy(side[name]) for side in (first, second) for name in ("mu", "sigma")]
    return float(_compute_fid(*given))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", nargs="+", type=int, default=[512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    last = "pytorch-fid's route" if fid_statistics_to_metric is None else "torch-fidelity"
    peers = {"torchmetrics": by_torchmetrics, last: by_sqrtm if fid_statistics_to_metric is None else by_fidelity}
    print(f"torch {torch.__version__}, torchmetrics {torchmetrics.__version__}, scipy {scipy.__version__}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    print("| width | examples | racer | seconds | pendio/racer | relative error |")
    print("| --- | --- | --- | --- | --- | --- |")
    for width in options.widths:
        for count in (2 * width, width // 4):
            sides = [features(count, width, seed) for seed in (0, 1)]
            given = [{"mu": side.mean(0).numpy(), "sigma": np.cov(side.numpy(), rowvar=False)} for side in sides]
            moments = [Moments.of(side) for side in sides]

            def ours(sides: list[Tensor] = sides, moments: list[Moments] = moments) -> float:
                few = len(sides[0]) <= sides[0].shape[1]
                return frechet_distance(*(Moments.of(side) for side in sides) if few else moments)

            racers = {"pendio": ours} | {name: functools.partial(race, *given) for name, race in peers.items()}
            runs = [{name: timed(race) for name, race in racers.items()} for _ in range(options.rounds)]
            seconds = {name: statistics.median(run[name][0] for run in runs) for name in racers}
            expected = truth(*sides)
            errors = {name: abs(runs[-1][name][1] - expected) / expected for name in racers}
            for name, median in seconds.items():
                print(
                    f"| {width} | {count} | {name} | {median:.3f} | {seconds['pendio'] / median:.2f} | {errors[name]:.1e} |"
                )
            if errors["pendio"] > 1e-8:
                raise SystemExit(f"pendio is off by {errors['pendio']:.1e} at width {width} with {count} examples")


if __name__ == "__main__":
    main()
