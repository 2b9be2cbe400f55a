"""An epoch of training a VAE: pendio's loop against a plain loop, and against pythae's trainer where it is installed.

All train the same networks from the same weights on the same images in batches of the same size with Adam: binary
cross-entropy summed over pixels, and the KL divergence in closed form. The plain loop is what PyTorch's examples do. An
epoch ends with an evaluation of the same validation images, for pendio and pythae do that too; pendio's also writes its
metrics, its checkpoint and its pictures of samples. Racers take turns, and medians count. The loss of the last epoch must
agree within a few per cent, or they did not do the same.

pythae is installed by hand, for it is no part of pendio's environment:

    pip install pythae
    python benchmarks/vae.py
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.generation.examples import open_examples
from pendio.generation.networks import ConvDecoder, ConvEncoder
from pendio.generation.vae.likelihoods import Bernoulli
from pendio.generation.vae.task import Vae

LATENT = 16
HAS_PYTHAE = importlib.util.find_spec("pythae") is not None

Racer = Callable[[Any, argparse.Namespace], tuple[float, float]]
"""Data and options → seconds an epoch, and the mean training loss of the last epoch in nats an example."""


def networks(options: argparse.Namespace) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    encoder = ConvEncoder(1, options.size, options.width, 2 * LATENT)
    return encoder, ConvDecoder(LATENT, 1, options.size, options.width)


def by_pendio(data: Any, options: argparse.Namespace) -> tuple[float, float]:
    task = Vae(*networks(options), Bernoulli(), LATENT, data.shape)
    plan = Plan(epochs=options.epochs, batch=options.batch, optimizer="adam", lr=1e-3, weight_decay=0.0,
                schedule="constant", accelerator="cpu")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = fit(task, data, plan, Path(folder) / "run", progress=False)
        return (time.perf_counter() - began) / options.epochs, run.history()[-1]["loss"]


def by_plain(data: Any, options: argparse.Namespace) -> tuple[float, float]:
    encoder, decoder = networks(options)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)

    def loss_of(images: Tensor) -> Tensor:
        mean, log_variance = encoder(images).chunk(2, 1)
        codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        cross_entropy = F.binary_cross_entropy_with_logits(decoder(codes), images, reduction="sum")
        return cross_entropy - 0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())

    # As in PyTorch's examples: a loader that collates single images.
    train, val = (
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(split.inputs), options.batch, shuffle=shuffle)
        for split, shuffle in ((data.train, True), (data.val, False))
    )
    began, mean = time.perf_counter(), 0.0
    for _ in range(options.epochs):
        total = 0.0
        for (images,) in train:
            optimizer.zero_grad()
            loss = loss_of(images)
            (loss / len(images)).backward()
            total += loss.item()
            optimizer.step()
        with torch.no_grad():
            for (images,) in val:
                loss_of(images).item()
        mean = total / len(data.train)
    return (time.perf_counter() - began) / options.epochs, mean


def by_pythae(data: Any, options: argparse.Namespace) -> tuple[float, float]:
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    inner, outer = networks(options)

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = inner

        def forward(self, images: Tensor) -> Any:
            mean, log_variance = self.network(images).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = outer

        def forward(self, codes: Tensor) -> Any:
            return ModelOutput(reconstruction=self.network(codes).sigmoid())

    model = VAE(VAEConfig(input_dim=data.shape, latent_dim=LATENT, reconstruction_loss="bce"), Encoder(), Decoder())
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder, num_epochs=options.epochs, learning_rate=1e-3, per_device_train_batch_size=options.batch,
            per_device_eval_batch_size=options.batch, no_cuda=True,
        )  # fmt: skip
        began = time.perf_counter()
        TrainingPipeline(training_config=config, model=model)(data.train.inputs, data.val.inputs)
        seconds = (time.perf_counter() - began) / options.epochs
    with torch.no_grad():
        from pythae.data.datasets import BaseDataset

        loss = model(BaseDataset(data.train.inputs, data.train.targets)[:]).loss
    return seconds, float(loss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data = open_examples("digits", size=options.size)
    racers: dict[str, Racer] = {"pendio": by_pendio, "plain": by_plain}
    if HAS_PYTHAE:
        racers["pythae"] = by_pythae
    else:
        print("pythae is not installed (pip install pythae): only the plain loop races")
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in racers}
    for _ in range(options.rounds):
        for name, racer in racers.items():
            results[name].append(racer(data, options))
    seconds = {name: statistics.median(time for time, _ in rows) for name, rows in results.items()}
    losses = {name: rows[-1][1] for name, rows in results.items()}
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {len(data.train)} digits of {options.size}²")
    print("| racer | seconds an epoch | training loss in epoch "
          f"{options.epochs} (nats) |\n| --- | --- | --- |")  # fmt: skip
    for name in racers:
        print(f"| {name} | {seconds[name]:.3f} | {losses[name]:.2f} |")
    for name in list(racers)[1:]:
        print(f"pendio/{name}: {seconds['pendio'] / seconds[name]:.2f}")
    if max(losses.values()) > 1.05 * min(losses.values()):
        raise SystemExit(f"the racers did not learn the same: {losses}")


if __name__ == "__main__":
    main()
