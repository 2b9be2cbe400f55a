"""``pendio.train`` and ``pendio.load``: a recipe or a trained thing by its name; and what is asked of any run."""

from pathlib import Path
from typing import Any

from pendio.errors import InputError, did_you_mean
from pendio.nn.network import Network
from pendio.reinforcement.presets import AGENTS, preset
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.runs.diagnosis import diagnose as find
from pendio.runs.run import Run

__all__ = ["diagnose", "load", "network", "report", "train"]

SEQUENCES = ("language", "translate", "tag")
"""Tasks on sequences."""

TASKS = ("classify", "restyle", *SEQUENCES, *AGENTS)


def train(task: str, progress: bool = True, **options: Any) -> Run:
    """Train, as ``pendio train TASK`` does.

    Args:
        task: one of ``pendio list tasks``.
        progress: show how it goes on standard error.
        options: those of the command line, with underscores: ``data="digits", epochs=10, lr=1e-3``.

    Raises:
        InputError: the task or an option is unknown or unfit.
    """
    if task not in TASKS:
        raise InputError(f"unknown task '{task}': {did_you_mean(task, TASKS)}")
    if task in AGENTS:
        from pendio.reinforcement.recipe import KINDS, train_agent

        known = preset(task, str(options.get("env", "")))
        return train_agent(task, KINDS[task].of({**known, **options}), progress)
    if task in SEQUENCES:
        return _train_on_sequences(task, options, progress)
    if task == "restyle":
        from pendio.restyling.options import RestyleOptions
        from pendio.restyling.recipe import restyle

        return restyle(RestyleOptions.of(options), progress)
    from pendio.classification.options import Classify
    from pendio.classification.recipe import classify

    return classify(Classify.of(options), progress)


def _train_on_sequences(task: str, options: dict[str, Any], progress: bool) -> Run:
    if task == "language":
        from pendio.sequences.language.options import LanguageOptions
        from pendio.sequences.language.recipe import language

        return language(LanguageOptions.of(options), progress)
    if task == "translate":
        from pendio.sequences.translation.options import TranslateOptions
        from pendio.sequences.translation.recipe import translate

        return translate(TranslateOptions.of(options), progress)
    from pendio.sequences.tagging.options import TagOptions
    from pendio.sequences.tagging.presets import preset as preset_of
    from pendio.sequences.tagging.recipe import tag

    known = preset_of(str(options.get("model", TagOptions.model)), str(options.get("data", TagOptions.data)))
    return tag(TagOptions.of({**known, **options}), progress)


def load(name: str | Path, weights: str | None = None) -> Any:
    """A trained task from its run folder, or a published network by its name.

    Args:
        name: a run folder, "efficientnet-lite0", "timm:NAME" or "torchvision:NAME".
        weights: a .safetensors file, or a .pt file of tensors alone, to use instead of the published weights.

    Raises:
        InputError: there is none, or it is damaged.
    """
    from pendio.classification.recipe import load_classifier, trained_network

    if not Path(name).is_dir():
        return trained_network(name, weights)
    run = Run.open(name)
    if run.recipe in AGENTS:
        from pendio.reinforcement.recipe import load_agent

        return load_agent(run)
    if run.recipe in SEQUENCES:
        from pendio.sequences.loading import load_run

        return load_run(run)
    if run.recipe == "restyle":
        from pendio.restyling.recipe import load_restyler

        return load_restyler(run)
    return load_classifier(run)


def network(name: str | Path, weights: str | None = None) -> Network:
    """The network of a run or a published one; ``weights`` as for :func:`load`.

    Raises:
        InputError: as for :func:`load`, or the task has no single network.
    """
    loaded = load(name, weights)
    if isinstance(name, str | Path) and Path(name).is_dir() and Run.open(name).recipe in AGENTS:
        from pendio.reinforcement.prediction import network_of

        return network_of(loaded)
    found = loaded if isinstance(loaded, Network) else getattr(loaded, "network", None)
    if not isinstance(found, Network):
        raise InputError(f"'{name}' is a run of 'train {Run.open(name).recipe}', whose network has no classes; "
                         "give a run of 'train classify'")  # fmt: skip
    return found


def report(folder: str | Path, env: str | None = None) -> Run:
    """Rebuild the report of a run, as ``pendio report`` does; ``env`` as for :func:`pendio.reinforcement.recipe.load_agent`.

    Raises:
        InputError: there is no run, its files are damaged, or its data is gone.
    """
    run = Run.open(folder)
    if run.recipe in AGENTS:
        from pendio.reinforcement.recipe import load_agent
        from pendio.reinforcement.report import write_report as write_played

        write_played(run, load_agent(run, env))
        return run
    if env is not None:
        raise InputError(f"--env is for runs of agents, and '{folder}' is one of 'train {run.recipe}'")
    if run.recipe in SEQUENCES:
        from pendio.sequences.loading import rebuild_report

        rebuild_report(run)
        return run
    if run.recipe == "restyle":
        from pendio.restyling import recipe
        from pendio.restyling.report import write_report as write_restyled

        task, options = recipe.load_restyler(run, judging=True), recipe.run_options(run)
        style = recipe.style_image(options, task.restyler.channels)
        write_restyled(run, task, recipe.open_data(options), style)
        return run
    from pendio.classification.evaluation import write_report
    from pendio.classification.recipe import load_classifier, open_data, run_options

    write_report(run, load_classifier(run), open_data(run_options(run)))
    return run


def diagnose(folder: str | Path) -> list[Diagnosis]:
    """Why training went as it did, as ``pendio diagnose`` does; empty where nothing went wrong.

    Raises:
        InputError: as for :func:`report`.
    """
    run = Run.open(folder)
    if run.recipe in AGENTS:
        from pendio.reinforcement.diagnosis import diagnose_run

        return diagnose_run(run)
    if run.recipe in SEQUENCES:
        from pendio.sequences.loading import diagnose_run as diagnose_sequences

        return diagnose_sequences(run)
    if run.recipe == "restyle":
        # Nothing is right or wrong here: what there is to look at are the curves and the gradients.
        return find(Evidence(run.history(), run.layers()))
    from pendio.classification.diagnosis import diagnose_classifier
    from pendio.classification.recipe import load_classifier, open_data, run_options

    return diagnose_classifier(run, load_classifier(run), open_data(run_options(run)))
