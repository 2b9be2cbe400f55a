"""The loop: ``fit`` walks a task's weights down the slope of its loss."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pendio.descent.averaging import Average
from pendio.descent.devices import denormals_flushed, launch, loggers, reading_processes
from pendio.descent.finite import Guard, LossNotFinite, NotFiniteError, first_not_finite
from pendio.descent.interruption import Interrupted, Interruption
from pendio.descent.monitor import Monitor
from pendio.descent.optimizers import lr_factor, make_optimizer, set_lr
from pendio.descent.plan import Plan
from pendio.descent.progress import Bar
from pendio.descent.task import Living, SourceFailed, Task, TrainingData
from pendio.descent.turns import Step, Turns
from pendio.errors import InputError
from pendio.runs.diagnosis import Evidence, LayerStep
from pendio.runs.run import Run, next_folder, versions

__all__ = ["evaluate", "fit"]

_LOOK_BACK = 50
"""Epochs that the diagnosis looks at while training."""


def fit(
    task: Task,
    data: TrainingData,
    plan: Plan,
    out: str | Path | None = None,
    resume: bool = False,
    *,
    config: Mapping[str, Any] | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
    notes: Sequence[str] = (),
    progress: bool = True,
) -> Run:
    """Train ``task`` on ``data`` as ``plan`` says, and leave a run folder.

    Afterwards ``task`` holds the weights of the best evaluation.

    Args:
        task: what to train; moved to the plan's device.
        data: training and validation examples.
        plan: how to walk down.
        out: the run folder to make; by default the next unused name under ``runs/``.
        resume: go on in ``out`` where it stopped, to the bit on a CPU; start there if it does not exist.
        config: what else the run folder shall remember, under the same names.
        files: texts that the run folder shall hold, by name, such as a tokenizer.
        notes: what to tell before the first epoch, a line each.
        progress: show a bar or a line an epoch on standard error.

    Raises:
        InputError: the plan does not fit the data, or the folder exists, is damaged or cannot be written.
        NotFiniteError: the loss became NaN or infinite.
        SourceFailed: the data failed; what has been learned is saved.
        Interrupted: after SIGINT or SIGTERM, when all is saved.
    """
    folder = Path(out) if out is not None else next_folder(type(task).__name__.lower(), "data")
    fabric = launch(plan, len(task.players()))
    with torch.random.fork_rng(), denormals_flushed(), Interruption() as interruption:
        walk = _Walk(task, data, plan, fabric, folder, interruption)
        with Bar(progress and fabric.is_global_zero, walk.total_steps, plan.epochs) as bar:
            walk.start(resume, dict(config or {}), files, bar)
            for note in notes:
                bar.note(note)
            while not walk.finished:
                walk.train_epoch(bar)
                bar.epoch(walk.evaluate())
                walk.tell_diagnoses(bar)
                walk.save_if_due()
            walk.save()
            walk.name_skipped(bar)
        walk.load_best()
    return walk.run


@torch.no_grad()
def evaluate(
    task: Task, *sources: Any, batch: int = 256, workers: int = 0, fabric: Fabric | None = None
) -> dict[str, float]:
    """A task's metrics over a split, or over several together, on the device that holds the task.

    ``fabric`` shares the examples out among its processes; without it this process sees all.
    """
    device = next(task.parameters()).device
    training = task.training
    task.eval()
    rank, world = (fabric.global_rank, fabric.world_size) if fabric else (0, 1)
    for source in sources:
        for examples in source.batches(batch, rank=rank, world=world, workers=workers):
            if len(examples[0]):
                task.measure(_moved(examples, device))
    # Some metrics run the network once more, which must not move its running statistics.
    metrics = task.metrics()
    task.train(training)
    return metrics


def _moved(batch: Any, device: torch.device) -> Any:
    columns = [column.to(device, non_blocking=True) if isinstance(column, Tensor) else column for column in batch]
    return type(batch)(*columns) if hasattr(batch, "_fields") else type(batch)(columns)


class _Walk:
    """The state of a training, and the ways it changes."""

    def __init__(
        self, task: Task, data: TrainingData, plan: Plan, fabric: Fabric, folder: Path, interruption: Interruption
    ) -> None:
        self.task, self.data, self.plan, self.fabric, self.folder = task, data, plan, fabric, folder
        self.interruption = interruption
        self.batch = plan.batch_size(len(data.train))
        self.steps_per_epoch = data.train.steps(self.batch, fabric.world_size)
        if self.steps_per_epoch == 0:
            raise InputError(f"{len(data.train)} training examples are too few for {fabric.world_size} processes")
        self.total_steps = plan.steps or plan.epochs * self.steps_per_epoch
        self.epoch = self.step_in_epoch = self.step = self.stale = 0
        self.best: tuple[float, ...] | None = None
        self._seed_epoch()
        if any(isinstance(module, nn.Conv2d) for module in task.modules()):
            task.to(memory_format=torch.channels_last)
        turns = Turns(task)
        players = turns.players
        self.optimizers = [make_optimizer(player, plan) for player in players]
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            turns = nn.SyncBatchNorm.convert_sync_batchnorm(turns)
        runnable: Any = torch.compile(turns) if plan.compile else turns
        self.turns, *wrapped = fabric.setup(runnable, *self.optimizers)
        self.guard = Guard(self.optimizers, fabric.device)
        self.take_step = Step(fabric, self.turns, wrapped, plan, self.guard)
        self.train_data = data.train.to(fabric.device)
        self.val_data = data.val.to(fabric.device)
        self.workers = reading_processes(plan, fabric)
        self.average = None if plan.average == "none" else Average(task, plan)
        # Apple's GPUs have no float64.
        wide = torch.float32 if fabric.device.type == "mps" else torch.float64
        self.sums = torch.zeros(2, device=fabric.device, dtype=wide)
        self.monitor = Monitor(task)
        self._layers: list[dict[str, LayerStep]] = []
        self._history: list[dict[str, Any]] = []
        self._told: set[str] = set()
        self.speed = 0.0
        self._best_weights: dict[str, Tensor] | None = None
        self._saved_at = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether there is no step left to take, or patience has run out."""
        patience = self.plan.patience
        return self.step >= self.total_steps or (patience is not None and self.stale >= patience)

    @property
    def _kept(self) -> Task:
        """The task whose weights are evaluated and kept: the average where there is one."""
        return self.average.task if self.average else self.task

    def start(self, resume: bool, config: dict[str, Any], files: Mapping[str, str], bar: Bar) -> None:
        """Make the run folder, or take up the one that is there."""
        config = {**config, "plan": dataclasses.asdict(self.plan), "versions": versions()}
        resuming = resume and self.folder.exists()
        problem: InputError | None = None
        self.run = Run(self.folder, config)
        # Only one process touches the folder; what goes wrong there must end all of them.
        if self.fabric.is_global_zero:
            try:
                if resuming:
                    self.run = Run.open(self.folder)
                    if not isinstance(self.run.config.get("plan"), dict):
                        raise InputError(f"the config of '{self.folder}' is damaged: it has no plan")
                    self.run.rewind(int(self.run.state()["epoch"]))
                    self.run.configure(config)
                else:
                    weights = self._kept.state_dict()
                    self.run = Run.create(self.folder, config, weights, self._state(), files)
            except InputError as error:
                problem = error
        problem = self.fabric.broadcast(problem)
        if problem is not None:
            raise problem
        if resuming:
            lost = self._restore(self.run.state())
            self._history, self._layers = self.run.history(), self.run.layers()
            bar.note(f"going on in {self.folder} after step {self.step} of {self.total_steps}")
            if lost:
                bar.note(lost)
        elif resume:
            bar.note(f"nothing to resume in {self.folder}: starting there")
        self.loggers = loggers(self.plan, self.folder) if self.fabric.is_global_zero else []

    def train_epoch(self, bar: Bar) -> None:
        """Take the epoch's remaining steps.

        Raises:
            Interrupted: a signal came; the state is saved.
            NotFiniteError: the loss is not finite; nothing is saved.
        """
        if self.step_in_epoch == 0:
            self._seed_epoch()
            self.sums.zero_()
        self.turns.train()
        began, seen = time.perf_counter(), 0
        try:
            for batch in self._batches(self.step_in_epoch):
                stop = self._take_step(batch)
                seen += len(batch[0]) * self.fabric.world_size
                self.speed = seen / (time.perf_counter() - began)
                bar.step(self.step, self.epoch, self.sums, self.speed)
                if self.step >= self.total_steps:
                    break
                if stop:
                    self.save()
                    raise Interrupted(self.folder)
                self.save_if_due()
            self.guard.look()
        except LossNotFinite as bad:
            raise self._blame(bad.step) from None
        except SourceFailed as failure:
            self.save()
            raise SourceFailed(f"{failure}; what was learned until then is saved: when that is mended, go on with "
                               f"--resume --out {self.folder}") from failure  # fmt: skip
        self.epoch += 1
        self.step_in_epoch = 0

    def _take_step(self, batch: Any) -> bool:
        """Walk one step; whether any process was asked to stop."""
        factor = lr_factor(self.plan, self.step, self.steps_per_epoch, self.total_steps)
        set_lr(self.optimizers, self.plan.lr * factor)
        if self.step_in_epoch == 0:
            self.monitor.before_step()
        losses, stop = self.take_step(batch, self.step, self.interruption.requested)
        self.task.after_step()
        if self.step_in_epoch == 0:
            self._layers.append(self.monitor.after_step())
        self.sums[0] += losses[0].total
        self.sums[1] += losses[0].weight
        if self.average:
            self.average.after_step()
        self.step += 1
        self.step_in_epoch += 1
        # Several processes must agree, so that they hear of a request one step later.
        return stop or (self.fabric.world_size == 1 and self.interruption.requested)

    def evaluate(self) -> dict[str, Any]:
        """Measure the validation split, write the result down, and keep the weights if they are the best so far."""
        if self.average:
            self.average.after_epoch(self.epoch - 1)
        with self.fabric.autocast():
            # Without gradients a larger batch fits than in training, but images may be large.
            batch = min(max(self.batch, 128), 256)
            metrics = evaluate(self._kept, self.val_data, batch=batch, workers=self.workers, fabric=self.fabric)
        score = self._kept.score(metrics)
        improved = self.best is None or score > self.best
        if improved:
            self.best, self.stale = score, 0
            self._best_weights = {name: value.detach().clone() for name, value in self._kept.state_dict().items()}
        else:
            self.stale += 1
        record = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.optimizers[0].param_groups[0]["lr"],
            "loss": float(self.sums[0] / self.sums[1]),
            **{f"val_{name}": value for name, value in metrics.items()},
            **(self.train_data.tell() if isinstance(self.train_data, Living) else {}),
            "examples_per_second": round(self.speed, 1),
            "skipped": len(self.train_data.failures) + len(self.val_data.failures),
            "best": improved,
        }
        if self.fabric.is_global_zero:
            self.run.append(record)
            if self._layers:
                self.run.append_layers(self.epoch, self._layers[-1])
            self._draw()
            for logger in self.loggers:
                logger.log_metrics({name: value for name, value in record.items() if type(value) is float}, self.step)
        self._history.append(record)
        return record

    def _draw(self) -> None:
        self._kept.eval()
        drawn = self._kept.pictures()
        if drawn:
            self.run.write_pictures({f"{name}-{self.epoch:04d}": png for name, png in drawn.items()})

    def tell_diagnoses(self, bar: Bar) -> None:
        """Say what goes wrong while there is time to stop, each thing once."""
        # The start and what came last: looking at everything each time would take ever longer.
        history, layers = (items[:1] + items[1:][-_LOOK_BACK:] for items in (self._history, self._layers))
        for finding in self.task.diagnose(Evidence(history, layers)):
            if finding.kind not in self._told:
                self._told.add(finding.kind)
                bar.note(f"diagnosis: {finding.sentence} ({finding.evidence}) Try {finding.flag}")

    def save_if_due(self) -> None:
        """Save, unless that was done only just now."""
        if time.monotonic() - self._saved_at >= self.plan.save_every:
            self.save()

    def save(self) -> None:
        """Write a checkpoint."""
        if self.fabric.is_global_zero:
            self.run.save(self._kept.state_dict(), self._best_weights, self._state())
        self._best_weights = None
        self._saved_at = time.monotonic()

    def name_skipped(self, bar: Bar) -> None:
        """Tell which examples could not be read."""
        failures = [*self.train_data.failures, *self.val_data.failures]
        for failure in failures[:10]:
            bar.note(f"skipped: {failure.reason}")
        if len(failures) > 10:
            bar.note(f"skipped: {len(failures) - 10} more, named in the report")

    def load_best(self) -> None:
        """Leave the task with the weights of the best evaluation."""
        self.fabric.barrier()
        self.task.load_state_dict(self.run.weights("best"))

    def _batches(self, start: int) -> Any:
        batches = self.train_data.batches(
            self.batch,
            seed=self.plan.seed,
            epoch=self.epoch,
            start=start,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            workers=self.workers,
        )
        return (_moved(batch, self.fabric.device) for batch in batches)

    def _blame(self, step: int) -> NotFiniteError:
        """Look again at the batch of ``step``, which the weights have not moved from, for what was not finite.

        A living source cannot give a batch again: the next one it gives must do.
        """
        batch = next(iter(self._batches(self.step_in_epoch - (self.step - step))))
        culprit = first_not_finite(self.task, lambda: [player.loss(batch) for player in self.task.players()])
        return NotFiniteError(
            f"the loss is not finite at step {step + 1} (epoch {self.epoch + 1}): {culprit}; "
            f"try a lower --lr than {self.plan.lr:g}, or --clip 1. The last good checkpoint is kept in {self.folder}"
        )

    def _seed_epoch(self) -> None:
        # Each process draws its own dropout masks.
        torch.manual_seed((self.plan.seed * 1_000_003 + self.epoch) * 1_009 + self.fabric.global_rank)

    def _state(self) -> dict[str, Any]:
        """Everything needed to go on, in tensors and plain values."""
        return {
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "step": self.step,
            "stale": self.stale,
            "best": None if self.best is None else list(self.best),
            "sums": self.sums.cpu(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.fabric.device) if self.fabric.device.type == "cuda" else None,
            "model": self.task.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.state_dict() if self.average else None,
            "batch": self.batch,
            "data": self.train_data.state_dict() if isinstance(self.train_data, Living) else None,
            "carried": self.task.carried(),
        }

    def _restore(self, state: dict[str, Any]) -> str:
        """Take up a state; a sentence on what could not be, empty where all could."""
        lost = ""
        try:
            if state["batch"] != self.batch and state["step_in_epoch"]:
                raise InputError(f"the run in '{self.folder}' stopped within an epoch of batches of {state['batch']}; "
                                 f"go on with --batch {state['batch']}")  # fmt: skip
            self.task.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            if self.average and state["average"]:
                self.average.load_state_dict(state["average"])
            self.epoch, self.step_in_epoch, self.step = state["epoch"], state["step_in_epoch"], state["step"]
            if isinstance(self.train_data, Living):
                lost = self.train_data.load_state_dict(state["data"])
            self.task.carry({name: value.to(self.fabric.device) for name, value in state.get("carried", {}).items()})
            self.stale, self.best = state["stale"], None if state["best"] is None else tuple(state["best"])
            self.sums.copy_(state["sums"])
            self._seed_epoch()
            if self.fabric.global_rank == 0:
                torch.set_rng_state(state["random"])
                if state["random_cuda"] is not None and self.fabric.device.type == "cuda":
                    torch.cuda.set_rng_state(state["random_cuda"], self.fabric.device)
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise InputError(f"the state in '{self.folder}' does not fit this model and plan: "
                             f"{' '.join(str(error).split())[:200]}") from error  # fmt: skip
        return lost
