"""The generative recipes by name: what each trains with, and what is asked of its runs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pendio.data.examples import Data
from pendio.generation.names import GENERATORS
from pendio.runs.diagnosis import Diagnosis
from pendio.runs.run import Run

__all__ = ["Room", "room"]


class Room(NamedTuple):
    """What a recipe can do.

    Attributes:
        train: options by name, and whether to show progress → the run.
        load: a run → its trained task.
        open_data: a run, and other data or None → what it was trained on, or that data in the same form.
        write_report: of a run, its task and its data.
        diagnose: the same → what went wrong.
    """

    train: Callable[[Mapping[str, Any], bool], Run]
    load: Callable[[Run], Any]
    open_data: Callable[[Run, str | None], Data]
    write_report: Callable[[Run, Any, Data], None]
    diagnose: Callable[[Run, Any, Data], list[Diagnosis]]


def room(name: str) -> Room:
    """The room of one of ``GENERATORS``. Only what it needs is imported."""
    if name == "autoencode":
        return _autoencoder()
    if name == "vae":
        return _vae()
    if name == "gan":
        return _gan()
    if name == "flow":
        return _flow()
    if name == "diffuse":
        return _diffusion()
    raise ValueError(f"'{name}' is none of {', '.join(GENERATORS)}")


def _autoencoder() -> Room:
    from pendio.generation.autoencoder import recipe
    from pendio.generation.autoencoder.diagnosis import diagnose_autoencoder
    from pendio.generation.autoencoder.options import AutoencodeOptions
    from pendio.generation.autoencoder.report import write_report

    return Room(
        lambda options, progress: recipe.train_autoencoder(AutoencodeOptions.of(options), progress),
        recipe.load_autoencoder, lambda run, data: recipe.open_data(recipe.run_options(run), data),
        write_report, diagnose_autoencoder,
    )  # fmt: skip


def _vae() -> Room:
    from pendio.generation.vae import recipe
    from pendio.generation.vae.diagnosis import diagnose_vae
    from pendio.generation.vae.options import VaeOptions
    from pendio.generation.vae.report import write_report

    return Room(
        lambda options, progress: recipe.train_vae(VaeOptions.of(options), progress),
        recipe.load_vae, lambda run, data: recipe.open_data(recipe.run_options(run), data), write_report, diagnose_vae,
    )  # fmt: skip


def _gan() -> Room:
    from pendio.generation.gan import recipe
    from pendio.generation.gan.diagnosis import diagnose_gan
    from pendio.generation.gan.options import GanOptions
    from pendio.generation.gan.report import write_report

    return Room(
        lambda options, progress: recipe.train_gan(GanOptions.of(options), progress),
        recipe.load_gan, lambda run, data: recipe.open_data(recipe.run_options(run), data), write_report, diagnose_gan,
    )  # fmt: skip


def _flow() -> Room:
    from pendio.generation.flow import recipe
    from pendio.generation.flow.diagnosis import diagnose_flow
    from pendio.generation.flow.options import FlowOptions
    from pendio.generation.flow.report import write_report

    return Room(
        lambda options, progress: recipe.train_flow(FlowOptions.of(options), progress),
        recipe.load_flow, lambda run, data: recipe.open_data(recipe.run_options(run), data), write_report, diagnose_flow,
    )  # fmt: skip


def _diffusion() -> Room:
    from pendio.generation.diffusion import recipe
    from pendio.generation.diffusion.diagnosis import diagnose_diffusion
    from pendio.generation.diffusion.options import DiffuseOptions
    from pendio.generation.diffusion.report import write_report

    return Room(
        lambda options, progress: recipe.train_diffusion(DiffuseOptions.of(options), progress),
        recipe.load_diffusion, lambda run, data: recipe.open_data(recipe.run_options(run), data),
        write_report, diagnose_diffusion,
    )  # fmt: skip
