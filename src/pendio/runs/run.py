"""The run folder: everything needed to use a trained model, to look back on its training, and to go on with it."""

import contextlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml
from torch import Tensor, nn

from pendio.errors import InputError
from pendio.runs.diagnosis import LayerStep
from pendio.runs.files import read_state, read_weights, replacing, write_text, write_weights, writing

__all__ = ["Run", "next_folder", "versions"]

CONFIG, STATE, METRICS, LAYERS, REPORT = "config.yaml", "state.pt", "metrics.jsonl", "layers.jsonl", "report.html"
WEIGHTS = {"last": "weights.safetensors", "best": "best.safetensors"}

_MAX_CONFIG_BYTES = 16 << 20
_MAX_TEXT_BYTES = 64 << 20


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    packages = ("pendio", "torch", "torchvision", "timm", "numpy", "lightning-fabric")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def next_folder(task: str, data: str, parent: Path = Path("runs")) -> Path:
    """The first unused name of the form ``runs/classify-digits-1``."""
    stem = f"{task}-{re.sub(r'[^A-Za-z0-9_-]+', '-', Path(data).stem).strip('-') or 'data'}"
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"


class Run:
    """A run folder.

    Attributes:
        folder: where it is.
        config: the content of ``config.yaml``.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.config = dict(config)

    @staticmethod
    def create(
        folder: Path,
        config: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any],
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> "Run":
        """Make a new run folder, complete from its first instant.

        Args:
            folder: where.
            config, weights, state: what it holds.
            files: other texts that it holds, by name.

        Raises:
            InputError: it exists and is not empty, or cannot be written.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"'{folder}' exists already; go on there with --resume, or choose another --out")
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            draft.chmod(0o755)
        try:
            run = Run(draft, config)
            run.configure({})
            run.save(weights, weights, state)
            write_text(draft / METRICS, "")
            for name, text in files.items():
                write_text(draft / name, text)
            with writing(folder):
                os.replace(draft, folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return Run(folder, config)

    @staticmethod
    def open(folder: str | Path) -> "Run":
        """An existing run folder.

        Raises:
            InputError: there is none, or its config is missing or damaged.
        """
        path = Path(folder)
        if not path.is_dir():
            raise InputError(f"there is no run folder '{path}'")
        config = path / CONFIG
        if not config.is_file():
            raise InputError(f"'{path}' is no run folder: it has no {CONFIG}")
        if config.stat().st_size > _MAX_CONFIG_BYTES:
            raise InputError(f"'{config}' is too large for a config file")
        try:
            content = yaml.safe_load(config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"'{config}' is damaged: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise InputError(f"'{config}' is damaged: it holds no mapping")
        return Run(path, content)

    def configure(self, config: Mapping[str, Any]) -> None:
        """Change parts of the config, as when a run goes on with other options."""
        self.config |= config
        write_text(self.folder / CONFIG, yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True))

    def save(self, last: Mapping[str, Tensor], best: Mapping[str, Tensor] | None, state: Mapping[str, Any]) -> None:
        """Write a checkpoint. Resuming needs ``state`` alone, which is therefore written last and in one piece.

        Args:
            last: weights to use, after the last evaluation.
            best: weights of the best evaluation where it changed since the last call; None leaves the file.
            state: everything needed to go on, in tensors and plain values.
        """
        write_weights(self.folder / WEIGHTS["last"], last)
        if best is not None:
            write_weights(self.folder / WEIGHTS["best"], best)
        import torch

        with replacing(self.folder / STATE) as file:
            torch.save(dict(state), file)

    def state(self) -> dict[str, Any]:
        """What :meth:`save` was given last."""
        return read_state(self.folder / STATE)

    def weights(self, which: Literal["best", "last"] = "best") -> dict[str, Tensor]:
        """The weights of the best or of the last evaluation."""
        return read_weights(self.folder / WEIGHTS[which])

    def fill(self, module: nn.Module) -> None:
        """Load the weights of the best evaluation into what was trained.

        Raises:
            InputError: they are missing or damaged, or do not fit.
        """
        weights = self.weights("best")
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            problem = " ".join(str(error).split(":", 1)[-1].split())
            raise InputError(f"the weights in '{self.folder}' do not fit its config: {problem[:200]}") from error

    def refill(self, module: nn.Module) -> None:
        """The opposite of :meth:`fill`: keep what was fitted after training with the weights of the best evaluation."""
        write_weights(self.folder / WEIGHTS["best"], module.state_dict())

    @property
    def recipe(self) -> str:
        """The task of ``pendio train`` that left this folder; empty where the config does not say."""
        return str(self.config.get("recipe", ""))

    def options(self, recipe: str) -> dict[str, Any]:
        """What the run was trained with, by name: its options and those of its plan.

        Raises:
            InputError: its config is damaged, or not one of this ``recipe``.
        """
        if self.recipe != recipe:
            raise InputError(f"the run in '{self.folder}' is not one of 'train {recipe}'")
        options, plan = self.config.get("options"), self.config.get("plan")
        if not isinstance(options, dict) or not isinstance(plan, dict):
            raise InputError(f"the config of '{self.folder}' has no options or no plan")
        return {**options, **plan}

    @contextlib.contextmanager
    def facts(self) -> Iterator[Mapping[str, Any]]:
        """What the run remembers of its data, to build its network with.

        Raises:
            InputError: something that is looked up is missing, or of another kind than it is used as.
        """
        try:
            yield self.config["data"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(f"the config of '{self.folder}' does not describe its data: {error}") from error

    def text(self, name: str) -> str:
        """A text that the run was made with, such as its tokenizer.

        Raises:
            InputError: it is missing, too large or damaged.
        """
        path = self.folder / name
        if not path.is_file():
            raise InputError(f"run folder '{self.folder}' has no {name}")
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise InputError(
                f"'{path}' is larger than {_MAX_TEXT_BYTES >> 20} MB: it is not what the run was made with"
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"'{path}' is damaged: {' '.join(str(error).split())}") from error

    def write_pictures(self, pictures: Mapping[str, bytes]) -> None:
        """Keep pictures, as PNG files of their names."""
        folder = self.folder / "pictures"
        with writing(folder):
            folder.mkdir(exist_ok=True)
        for name, png in pictures.items():
            with replacing(folder / f"{name}.png") as file:
                file.write(png)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line to ``metrics.jsonl``."""
        self._append(METRICS, record)

    def append_layers(self, epoch: int, layers: Mapping[str, LayerStep]) -> None:
        """Add a line to ``layers.jsonl``: what an epoch's first step did to each weight tensor."""
        rows = {
            name: [float(f"{value:.4g}") for value in (step.weight, step.gradient, step.update)]
            for name, step in layers.items()
        }
        self._append(LAYERS, {"epoch": epoch, "step": 0, "layers": rows})

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        path = self.folder / name
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind(self, epochs: int) -> None:
        """Forget what was written after so many ``epochs``: that is, after the last checkpoint and before a kill."""
        self._keep(METRICS, [record for record in self.history() if record["epoch"] <= epochs])
        if (self.folder / LAYERS).is_file():
            self._keep(LAYERS, [record for record in self._records(LAYERS) if record["epoch"] <= epochs])

    def _keep(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        write_text(self.folder / name, "".join(json.dumps(record) + "\n" for record in records))

    def history(self) -> list[dict[str, Any]]:
        """The evaluations so far, one dictionary each. A last line that a kill cut short is left out."""
        if not (self.folder / METRICS).is_file():
            raise InputError(f"run folder '{self.folder}' has no {METRICS}")
        return self._records(METRICS)

    def layers(self) -> list[dict[str, LayerStep]]:
        """What each epoch's first step did to each weight tensor; empty where that was not written down."""
        if not (self.folder / LAYERS).is_file():
            return []
        try:
            return [
                {name: LayerStep(*(float(value) for value in values)) for name, values in record["layers"].items()}
                for record in self._records(LAYERS)
            ]
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise InputError(f"'{self.folder / LAYERS}' is damaged: {error}") from error

    def _records(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name
        records = []
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True), 1):
            try:
                record = json.loads(line)
                records.append({"step": int(record["step"]), "epoch": int(record["epoch"]), **record})
            except (ValueError, KeyError, TypeError) as error:
                if line.endswith("\n"):
                    raise InputError(f"'{path}' line {number} is damaged") from error
        return records
