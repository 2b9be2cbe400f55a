"""Learning how data is distributed, to make more of it: train autoencode, vae, gan, flow and diffuse."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pendio.cli.app import tell_results, tell_run, train
from pendio.generation.autoencoder.options import AutoencodeOptions
from pendio.generation.diffusion.options import DiffuseOptions
from pendio.generation.flow.options import FlowOptions
from pendio.generation.gan.options import GanOptions
from pendio.generation.vae.options import VaeOptions

if TYPE_CHECKING:
    from pendio.generation.autoencoder.prediction import Judged
    from pendio.generation.manifold.prediction import Measured
    from pendio.runs.run import Run

__all__ = ["autoencode", "diffuse", "flow", "gan", "predict_generated", "vae"]


@train.command
def autoencode(options: Annotated[AutoencodeOptions, Parameter(name="*")] = AutoencodeOptions()) -> None:  # noqa: B008
    """Train an autoencoder: to compress, to take noise away, and to find what does not belong to the data.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.generation.autoencoder.recipe import train_autoencoder

    tell_run(train_autoencoder(options))


@train.command
def vae(options: Annotated[VaeOptions, Parameter(name="*")] = VaeOptions()) -> None:  # noqa: B008  (frozen)
    """Train a variational autoencoder: pendio sample RUN then makes new examples, pendio latent looks at its codes.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.generation.vae.recipe import train_vae

    tell_run(train_vae(options))


@train.command
def gan(options: Annotated[GanOptions, Parameter(name="*")] = GanOptions()) -> None:  # noqa: B008  (frozen)
    """Train a generator against a discriminator: pendio sample RUN then makes new examples.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.generation.gan.recipe import train_gan

    tell_run(train_gan(options))


@train.command
def flow(options: Annotated[FlowOptions, Parameter(name="*")] = FlowOptions()) -> None:  # noqa: B008  (frozen)
    """Train a normalising flow: exact likelihoods, exact codes, and new examples by pendio sample RUN.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.generation.flow.recipe import train_flow

    tell_run(train_flow(options))


@train.command
def diffuse(options: Annotated[DiffuseOptions, Parameter(name="*")] = DiffuseOptions()) -> None:  # noqa: B008  (frozen)
    """Train a network to take noise away step by step: pendio sample RUN then makes new examples out of noise.

    A config file saved by a run can be given with --config; options on the command line override it.
    """
    from pendio.generation.diffusion.recipe import train_diffusion

    tell_run(train_diffusion(options))


def predict_generated(run: "Run", inputs: Sequence[str], out: Path | None, json_: bool) -> None:
    """What ``pendio predict`` does with a generative run: it says how far inputs are from what was learned.

    Raises:
        InputError: it is a run of ``diffuse``, which knows no such distance.
    """
    from pendio.recipes import load

    if run.recipe != "autoencode":
        from pendio.generation.manifold.prediction import measure_inputs

        tell_results(measure_inputs(load(run.folder), inputs, out or Path("reconstructed")), _distances, json_)
        return
    from pendio.generation.autoencoder.prediction import judge_inputs

    tell_results(judge_inputs(load(run.folder), inputs, out or Path("strange")), _verdict, json_)


def _distances(result: "Measured") -> str:
    said = ", ".join(f"{name} {value:.4g}" for name, value in result.distances.items())
    return f"{said}; wrote {result.file}" if result.file else said


def _verdict(result: "Judged") -> str:
    said = f"score {result.score:.4g}{', an anomaly' if result.anomaly else ''}"
    return f"{said}; wrote {result.file}" if result.file else said
