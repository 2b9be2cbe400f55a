"""The training loop: pendio's `fit` against a bare PyTorch loop and against PyTorch Lightning's Trainer.

The work is one epoch of the digits CNN (pendio's `cnn`, 8×8 pixels): 1,259 training digits in batches of 64, AdamW at a
constant learning rate, no augmentation, and then an evaluation on the 178 validation digits. The racers:

- `pendio`: `fit` as `pendio train classify` calls it, with everything on that it does each epoch: progress bar,
  accuracy, top-5, precision, recall, F1 and calibration error, `metrics.jsonl`, the best weights kept, its checks for
  NaN and for signals. It writes a checkpoint every 30 s and at the end, never an epoch: timed apart.
- `bare`: the loop that people write by hand over `DataLoader(TensorDataset(…), batch_size=64, shuffle=True)` and
  `torch.optim.AdamW`, accuracy and loss on the validation digits, no bar and nothing written.
- `lightning`: `lightning.pytorch.Trainer` with its progress bar on, the same DataLoader, accuracy by torchmetrics;
  checkpoints, logger and sanity check off, which is the fastest it can be with a bar.

All run in one process, in alternating rounds, each from the same initial weights. A round trains for `--epochs` epochs
after one that is not timed; time is taken from the end of one evaluation to the end of the last. Standard output and
error are a pseudo-terminal meanwhile, so that the bars are live. Test accuracy is that of the weights after the last epoch.

    pip install 'pendio[bench]'
    python benchmarks/train_loop.py

Versions are printed with the results. Needs a POSIX system for the pseudo-terminal.
"""

import argparse
import contextlib
import fcntl
import importlib.metadata
import importlib.util
import logging
import os
import pty
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import pendio.data
from pendio.classification.models import build
from pendio.classification.task import Classifier
from pendio.data.examples import Data, Resident
from pendio.descent.loop import fit
from pendio.descent.plan import Plan
from pendio.nn.network import Network

BATCH, LEARNING_RATE, WEIGHT_DECAY = 64, 2e-3, 0.01
INSTALL = "pip install 'pendio[bench]'"


@dataclass
class Result:
    """What a racer did in a round."""

    seconds: float
    accuracy: float
    checkpoint: float = 0.0


class Clock:
    """Notes the end of each epoch's evaluation."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def mark(self) -> None:
        self.marks.append(time.perf_counter())

    def seconds_per_epoch(self) -> float:
        """Of all epochs but the first."""
        return (self.marks[-1] - self.marks[0]) / (len(self.marks) - 1)


class TimedClassifier(Classifier):
    """pendio's classifier, which notes when its metrics were asked for: once an epoch."""

    def __init__(self, network: Network, clock: Clock) -> None:
        super().__init__(network)
        self.clock = clock

    def metrics(self) -> dict[str, float]:
        metrics = super().metrics()
        self.clock.mark()
        return metrics


def new_network(data: Data, seed: int) -> Network:
    torch.manual_seed(seed)
    return build("cnn", data.shape, data.mean, data.std, data.classes)


def loader(split: Resident, batch: int, shuffle: bool) -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(TensorDataset(split.inputs, split.targets), batch_size=batch, shuffle=shuffle)


@torch.inference_mode()
def test_accuracy(network: Network, data: Data) -> float:
    split = data.split("test")
    network.eval()
    hits = [(network(batch.inputs).argmax(1) == batch.targets).float() for batch in split.batches(256)]
    return float(torch.cat(hits).mean())


def race_pendio(data: Data, epochs: int, seed: int) -> Result:
    clock = Clock()
    task = TimedClassifier(new_network(data, seed), clock)
    plan = Plan(
        epochs=epochs + 1,
        batch=BATCH,
        lr=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        schedule="constant",
        accelerator="cpu",
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = fit(task, data, plan, Path(folder) / "run")
        ended = time.perf_counter()
        task.load_state_dict(run.weights("last"))
    return Result(clock.seconds_per_epoch(), test_accuracy(task.network, data), ended - clock.marks[-1])


def race_bare(data: Data, epochs: int, seed: int) -> Result:
    clock = Clock()
    network = new_network(data, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    training, validation = loader(data.train, BATCH, shuffle=True), loader(data.val, 256, shuffle=False)
    for _ in range(epochs + 1):
        network.train()
        for images, labels in training:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
        network.eval()
        hits, total = 0, 0.0
        with torch.no_grad():
            for images, labels in validation:
                logits = network(images)
                hits += (logits.argmax(1) == labels).sum().item()
                total += F.cross_entropy(logits, labels, reduction="sum").item()
        clock.mark()
    return Result(clock.seconds_per_epoch(), test_accuracy(network, data))


def race_lightning(data: Data, epochs: int, seed: int) -> Result:
    import lightning.pytorch as lightning
    from lightning.pytorch.callbacks import TQDMProgressBar
    from torchmetrics.classification import MulticlassAccuracy

    clock = Clock()

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = new_network(data, seed)
            self.accuracy = MulticlassAccuracy(len(data.classes), average="micro")

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            images, labels = batch
            loss = F.cross_entropy(self.network(images), labels)
            self.log("train_loss", loss, prog_bar=True)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            images, labels = batch
            logits = self.network(images)
            self.accuracy(logits, labels)
            self.log("val_loss", F.cross_entropy(logits, labels), prog_bar=True)
            self.log("val_accuracy", self.accuracy, prog_bar=True)

        def on_train_epoch_end(self) -> None:  # comes after the validation
            clock.mark()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=epochs + 1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[TQDMProgressBar()],
    )
    trainer.fit(module, loader(data.train, BATCH, shuffle=True), loader(data.val, 256, shuffle=False))
    return Result(clock.seconds_per_epoch(), test_accuracy(module.network, data))


@contextlib.contextmanager
def pseudo_terminal() -> Iterator[None]:
    """Make standard output and error a terminal of 120 columns whose output goes nowhere.

    Another process reads it, as a terminal does, so that no racer pays for that.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    reader = subprocess.Popen(["cat"], stdin=master, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(master)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    before = os.environ.get("TERM")
    os.environ["TERM"] = "xterm-256color"
    os.dup2(slave, 1)
    os.dup2(slave, 2)
    os.close(slave)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if before is None:
            del os.environ["TERM"]
        else:
            os.environ["TERM"] = before
        reader.wait()


def print_results(results: dict[str, list[Result]], epochs: int) -> None:
    print(f"| racer | seconds an epoch: median (least–most) | test accuracy after {epochs + 1} epochs, one a round |")
    print("| --- | --- | --- |")
    medians = {}
    for name, rounds in results.items():
        seconds = [result.seconds for result in rounds]
        medians[name] = statistics.median(seconds)
        accuracies = ", ".join(f"{result.accuracy:.2%}" for result in rounds)
        print(f"| {name} | {medians[name]:.3f} ({min(seconds):.3f}–{max(seconds):.3f}) | {accuracies} |")
    for name in medians:
        if name != "pendio":
            print(f"pendio/{name}: {medians['pendio'] / medians[name]:.2f}")
    checkpoint = statistics.median(result.checkpoint for result in results["pendio"])
    print(f"pendio's checkpoint, every 30 s and at the end: {checkpoint * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each racer runs")
    parser.add_argument("--epochs", type=int, default=15, help="timed epochs of a round")
    options = parser.parse_args()
    data = pendio.data.open("digits")
    racers: dict[str, Callable[[Data, int, int], Result]] = {"pendio": race_pendio, "bare": race_bare}
    if importlib.util.find_spec("lightning"):
        racers["lightning"] = race_lightning
        # It tells of its sponsors and of worker processes that so little data does not need.
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
    else:
        print(f"lightning is not installed, so that pendio runs against the bare loop alone: {INSTALL}")
    results: dict[str, list[Result]] = {name: [] for name in racers}
    with pseudo_terminal():
        for seed in range(options.rounds):
            for name, race in racers.items():
                results[name].append(race(data, options.epochs, seed))
    packages = [name for name in ("torch", "lightning", "torchmetrics") if importlib.util.find_spec(name)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"{versions}; {torch.get_num_threads()} threads; {options.rounds} rounds of {options.epochs} epochs")
    print_results(results, options.epochs)
    print(f"peak memory of all racers in one process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


if __name__ == "__main__":
    main()
