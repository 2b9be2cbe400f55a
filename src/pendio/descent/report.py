"""What the reports of all runs have in common: how training went, why, and how to do it again."""

from collections.abc import Callable, Mapping, Sequence

import yaml

from pendio.data.examples import Data
from pendio.pictures.curves import draw_curves
from pendio.pictures.layers import draw_layers
from pendio.runs.diagnosis import Diagnosis, Evidence, diagnose
from pendio.runs.page import Picture, Section, Table
from pendio.runs.run import Run

__all__ = ["about_data", "closing", "draw_steps", "draw_training"]

Diagnose = Callable[[Evidence], list[Diagnosis]]

_CAPTION = "Gradient of each weight tensor, and its update relative to it, in each epoch's first step."


def draw_training(run: Run, metric: str) -> dict[str, bytes]:
    """Pictures of how training went: "curves" and "layers", where the run wrote down what they show."""
    history = run.history()
    pictures = {"curves": draw_curves(history, metric)} if history else {}
    return pictures | draw_steps(run)


def draw_steps(run: Run) -> dict[str, bytes]:
    """The picture "layers" of what training did to each weight tensor, where the run wrote that down."""
    layers = run.layers()
    if not layers:
        return {}
    picture = draw_layers(
        {name: [steps[name].gradient for steps in layers if name in steps] for name in layers[0]},
        {name: [steps[name].ratio for steps in layers if name in steps] for name in layers[0]},
    )
    return {"layers": picture}


def about_data(data: Data, text: str, pictures: Sequence[Picture] = ()) -> Section:
    """What was trained on: its examples, what the data doctor noticed, and which could not be read.

    Args:
        data: what was trained on.
        text: what more there is to say than name, number and shape of its examples.
        pictures: of examples.
    """
    counts = ", ".join(f"{count} {name}" for name, count in data.describe()["examples"].items())
    findings = [(finding.kind, finding.message) for finding in data.findings]
    failures = [("unreadable", failure.reason) for failure in data.train.failures]
    return Section(
        "Data",
        text=f"{data.name}: {counts} examples of shape {tuple(data.shape)}{text}.",
        tables=[Table(("noticed", "what"), findings + failures)] if findings or failures else [],
        pictures=pictures,
    )


def closing(
    run: Run, pictures: Mapping[str, bytes], more: str = "", diagnose: Diagnose = diagnose
) -> list[Section]:  # fmt: skip
    """The last sections of a report: diagnosis, the command that does it again, configuration.

    Args:
        run: the run.
        pictures: of :func:`draw_training`.
        more: what ``pendio diagnose`` looks at beside the curves and gradients.
        diagnose: what finds out what went wrong.
    """
    found = diagnose(Evidence(run.history(), run.layers()))
    rows = [(finding.sentence, finding.evidence, finding.fix, finding.flag) for finding in found]
    diagnosis = Section(
        "Diagnosis",
        text="" if found else "The curves and gradients look healthy.",
        tables=[Table(("what", "evidence", "what helps", "option"), rows)] if rows else [],
        pictures=[Picture(pictures["layers"], _CAPTION)] if "layers" in pictures else [],
        code=f"pendio diagnose {run.folder}{more}",
    )
    again = f"pendio train {run.recipe} --config {run.folder}/config.yaml --out NEW_FOLDER"
    config = yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True)
    return [
        diagnosis,
        Section("Do it again", text="The same seed gives the same numbers on a CPU.", code=again),
        Section("Configuration", code=config, folded=True),
    ]
