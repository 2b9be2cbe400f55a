"""Taking up any run on sequences again: the trained task, its report, its diagnosis."""

from pendio.descent.task import Task
from pendio.runs.diagnosis import Diagnosis
from pendio.runs.run import Run

__all__ = ["diagnose_run", "load_run", "rebuild_report"]


def load_run(run: Run) -> Task:
    """The trained task of a run of ``language``, ``translate`` or ``tag``, ready to predict.

    Raises:
        InputError: the run's files are missing, damaged or do not fit together.
    """
    if run.recipe == "translate":
        from pendio.sequences.translation.recipe import load_translator

        return load_translator(run)
    if run.recipe == "tag":
        from pendio.sequences.tagging.recipe import load_tagger

        return load_tagger(run)
    from pendio.sequences.language.recipe import load_language

    return load_language(run)


def rebuild_report(run: Run) -> None:
    """Write the report of a run anew.

    Raises:
        InputError: as for :func:`load_run`, or its data is gone.
    """
    if run.recipe == "translate":
        from pendio.sequences.translation import recipe as translation
        from pendio.sequences.translation.report import write_report as report_translation

        pairs = translation.open_data(translation.run_options(run), run=run)
        report_translation(run, translation.load_translator(run), pairs)
        return
    if run.recipe == "tag":
        from pendio.sequences.tagging import recipe as tagging
        from pendio.sequences.tagging.report import write_report as report_tagging

        report_tagging(run, tagging.load_tagger(run), tagging.run_data(run))
        return
    from pendio.sequences.language.recipe import open_run
    from pendio.sequences.language.report import write_report as report_language

    report_language(run, *open_run(run))


def diagnose_run(run: Run) -> list[Diagnosis]:
    """Why training went as it did, the likeliest cause first; empty where nothing went wrong.

    Raises:
        InputError: as for :func:`rebuild_report`.
    """
    if run.recipe == "translate":
        from pendio.sequences.translation import recipe as translation
        from pendio.sequences.translation.diagnosis import diagnose_translator

        return diagnose_translator(run, translation.open_data(translation.run_options(run), run=run))
    if run.recipe == "tag":
        from pendio.sequences.tagging import recipe as tagging
        from pendio.sequences.tagging.diagnosis import diagnose_tagger

        return diagnose_tagger(run, tagging.load_tagger(run), tagging.run_data(run))
    from pendio.sequences.language.diagnosis import diagnose_language
    from pendio.sequences.language.recipe import open_run

    return diagnose_language(run, *open_run(run))
