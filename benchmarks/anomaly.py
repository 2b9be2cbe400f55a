"""Ten tasks of one digit each: an autoencoder learns it alone, and shall tell the other nine apart from it.

    python benchmarks/anomaly.py
    python benchmarks/anomaly.py --latent 8 --epochs 60 --digits 3 8

The area under the ROC curve of the test split counts, beside that of the distance to the nearest training example of the
digit, and that of the squared error of its principal components, of as many dimensions as a code: what a network must beat.
Higher is better.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from pendio.descent.loop import evaluate
from pendio.generation.autoencoder.options import AutoencodeOptions
from pendio.generation.autoencoder.recipe import load_autoencoder, open_data, run_options, train_autoencoder
from pendio.generation.separation import separation


def compare(digit: int, options: argparse.Namespace, folder: Path) -> tuple[float, float, float, float]:
    """AUROC of the autoencoder, of the nearest neighbour and of principal components; and seconds of training."""
    began = time.perf_counter()
    chosen = {
        "normal": str(digit), "size": options.size, "latent": options.latent, "epochs": options.epochs, "lr": options.lr,
        "batch": 16, "corrupt": options.corrupt, "false_alarms": 0.2, "out": str(folder / str(digit)),
    }  # fmt: skip
    run = train_autoencoder(AutoencodeOptions.of(chosen), progress=False)
    seconds = time.perf_counter() - began
    data = open_data(run_options(run))
    metrics = evaluate(load_autoencoder(run), data.test)
    known = data.train.take(torch.arange(len(data.train))).inputs.flatten(1).float()
    held = data.test.take(torch.arange(len(data.test)))
    rows, strange = held.inputs.flatten(1).float(), held.targets != digit
    nearest = torch.cdist(rows, known).amin(1)
    axes = torch.linalg.svd(known - known.mean(0), full_matrices=False).Vh[: options.latent]
    centred = rows - known.mean(0)
    left = (centred - centred @ axes.T @ axes).square().mean(1)
    baselines = (separation(scores, strange)["auroc"] for scores in (nearest, left))
    return metrics["auroc"], *baselines, seconds  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--latent", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--corrupt", default="none")
    options = parser.parse_args()
    print("| normal digit | autoencoder | nearest neighbour | principal components | seconds |")
    print("| --- | --- | --- | --- | --- |")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for digit in options.digits:
            rows.append(compare(digit, options, Path(folder)))
            print(
                f"| {digit} | {' | '.join(f'{value:.4f}' for value in rows[-1][:3])} | {rows[-1][3]:.0f} |", flush=True
            )
    means = torch.tensor(rows).mean(0).tolist()
    print(f"| mean | {' | '.join(f'{value:.4f}' for value in means[:3])} | {means[3]:.0f} |")


if __name__ == "__main__":
    main()
