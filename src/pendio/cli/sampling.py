"""``pendio sample``: texts of language models, examples of generative models."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pendio.cli.app import Json, app
from pendio.cli.making import Denoising, DenoisingOptions, sample_examples
from pendio.cli.writing import Writing, sample_texts
from pendio.errors import InputError
from pendio.sequences.decoding.options import Sampling

__all__ = ["sample"]

_EXAMPLES = 64


@app.command
def sample(
    run: str,
    *,
    number: Annotated[int | None, Parameter(name=["-n", "--number"])] = None,
    classes: Annotated[tuple[str, ...], Parameter(name="--class", negative="")] = (),
    sampling: Annotated[Sampling, Parameter(name="*")] = Sampling(),  # noqa: B008  (frozen)
    denoising: DenoisingOptions = Denoising(),  # noqa: B008
    writing: Annotated[Writing, Parameter(name="*")] = Writing(),  # noqa: B008
    out: Path | None = None,
    json_: Json = False,
) -> None:
    """Let a language model write on, or a generative model make new examples.

    Parameters
    ----------
    run
        A run folder of train language, vae, gan, flow or diffuse.
    number
        How many; by default one text, or 64 examples.
    classes
        Of examples: the class to ask for, where the model was trained with --conditional; may be given several times.
    out
        A file to write to: texts go to the terminal otherwise, examples to samples.png or samples.csv. For examples a .png,
        .npz or .csv file, or a folder for images.
    """
    from pendio.recipes import GENERATORS
    from pendio.runs.run import Run

    opened = Run.open(run)
    if opened.recipe in GENERATORS:
        if writing != Writing() or sampling.top_k is not None or sampling.top_p is not None:
            raise InputError(f"--prompt, --tokens, --beams, --stop, --weights, --top-k and --top-p are for texts, and "
                             f"'{run}' is a run of 'train {opened.recipe}'")  # fmt: skip
        sample_examples(
            opened, _EXAMPLES if number is None else number, classes=classes, temperature=sampling.temperature,
            seed=sampling.seed, denoising=denoising, out=out, json_=json_,
        )  # fmt: skip
        return
    if classes or denoising != Denoising():
        raise InputError("--class, --steps, --sampler, --guidance, --eta and --precision are for generative models, and "
                         f"'{run}' is a run of 'train {opened.recipe}'")  # fmt: skip
    sample_texts(opened, 1 if number is None else number, writing, sampling, out, json_)
