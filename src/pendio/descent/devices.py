"""Where a training runs: devices, precision, processes and loggers, all by Lightning Fabric."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import CSVLogger

from pendio.descent.plan import Plan
from pendio.errors import InputError

__all__ = ["denormals_flushed", "launch", "leave_processes", "loggers", "reading_processes"]

_PRECISION = {"float32": "32-true", "bf16": "bf16-mixed"}


def launch(plan: Plan, players: int = 1) -> Fabric:
    """Fabric as the plan asks, with its processes started. Under torchrun, torchrun's numbers count.

    Args:
        plan: which devices, how many, and how precise.
        players: who take turns: with several, no turn gives gradients to all parameters, and processes must not wait for
            them.

    Raises:
        InputError: the machine has no such devices.
    """
    if plan.accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--accelerator cuda: this machine has no CUDA device that torch can use; give --accelerator cpu"
        )
    if plan.accelerator == "mps" and not torch.backends.mps.is_available():
        raise InputError("--accelerator mps: this machine has no Apple GPU that torch can use; give --accelerator cpu")
    world = int(os.environ.get("WORLD_SIZE", 1)) if "TORCHELASTIC_RUN_ID" in os.environ else 0
    devices = int(os.environ["LOCAL_WORLD_SIZE"]) if world else plan.devices
    present = torch.cuda.device_count() if plan.accelerator in ("auto", "cuda") else 0
    if present and devices > present:
        raise InputError(f"--devices {devices}: this machine has {present}")
    processes = world or devices
    strategy = "ddp" if players == 1 else "ddp_find_unused_parameters_true"
    fabric = Fabric(
        accelerator=plan.accelerator,
        devices=devices,
        num_nodes=max(1, world // devices),
        strategy=strategy if processes > 1 else "auto",
        precision=_PRECISION[plan.precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Take numbers below 10⁻³⁸ for zero meanwhile, on a CPU.

    The moments of weights that get no gradient any more decay into them, and there a CPU's update takes ten times as long.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def leave_processes() -> bool:
    """End the work in several processes, if there were any; whether this is the one that goes on alone."""
    if not torch.distributed.is_initialized():
        return True
    rank = torch.distributed.get_rank()
    torch.distributed.destroy_process_group()
    return rank == 0


def loggers(plan: Plan, folder: Path) -> list[Any]:
    """Fabric's loggers that the plan asks for, writing into ``logs/`` in the run folder, each start its own version.

    Raises:
        InputError: TensorBoard is not installed.
    """
    match plan.log:
        case "none":
            return []
        case "csv":
            return [CSVLogger(root_dir=folder, name="logs", flush_logs_every_n_steps=1)]
        case "tensorboard":
            from lightning_fabric.loggers import TensorBoardLogger

            try:
                return [TensorBoardLogger(root_dir=folder, name="logs")]
            except ModuleNotFoundError as error:
                raise InputError("--log tensorboard needs a package: pip install 'pendio[tensorboard]'") from error


def reading_processes(plan: Plan, fabric: Fabric) -> int:
    """Processes that read for each training process: the plan's number, or a share of the cores, at most 8."""
    if plan.workers is not None:
        return plan.workers
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // fabric.world_size))
