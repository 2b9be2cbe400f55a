"""What the command line delivers: test accuracy, time and peak memory of real commands, start-up included.

Each row of the table is one command, run as a user runs it, once for each seed:

    python benchmarks/commands.py --seeds 3

Time is from start to end of the process; peak memory is the largest resident size it reached.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PENDIO = [sys.executable, "-m", "pendio"]

TRAININGS = (
    "train classify --data digits --model mlp",
    "train classify --data digits --model lenet",
    "train classify --data digits --model cnn",
    "train classify --data digits --model resnet",
    "train classify --data digits --model se-resnet",
    "train classify --data digits --model separable",
    "train classify --data textures --model efficientnet-lite0 --freeze",
)

OTHERS = (
    "--help",
    "list models",
    "summary efficientnet-lite0",
    "predict efficientnet-lite0 coffee.png --json",
    "predict efficientnet-lite0 photos",
)


def measured(arguments: list[str]) -> tuple[float, float, str]:
    """Seconds, peak memory in MB, and standard output of a command."""
    began = time.perf_counter()
    process = subprocess.Popen([*PENDIO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: pendio {' '.join(arguments)}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024, output


def train_row(command: str, seeds: int, folder: Path) -> str:
    accuracies, seconds, memory = [], [], []
    for seed in range(seeds):
        out = folder / f"{command.replace(' ', '-')}-{seed}"
        took, peak, _ = measured([*command.split(), "--seed", str(seed), "--out", str(out)])
        result = json.loads(measured(["evaluate", str(out), "--json"])[2])
        accuracies.append(result["accuracy"])
        seconds.append(took)
        memory.append(peak)
    shown = ", ".join(f"{accuracy:.2%}" for accuracy in accuracies)
    return f"| `pendio {command}` | {shown} | {statistics.median(seconds):.1f} s | {max(memory):.0f} MB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each training")
    parser.add_argument("--only", default="", help="only trainings whose command contains this text")
    options = parser.parse_args()
    print("| command | test accuracy, one a seed | time | peak memory |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for command in TRAININGS:
            if options.only in command:
                print(train_row(command, options.seeds, Path(folder)), flush=True)
    for command in OTHERS if not options.only else ():
        seconds, peak, _ = measured(command.split())
        print(f"| `pendio {command}` | | {seconds:.1f} s | {peak:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
