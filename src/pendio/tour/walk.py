"""The way through all stops."""

import shutil
import sys
import time
from pathlib import Path

from pendio.errors import InputError
from pendio.runs.files import writing
from pendio.runs.page import write_page
from pendio.tour import acting, classifying, generating, looking, neurons, seeing, sequences
from pendio.tour.stop import Stop

__all__ = ["STOPS", "tour"]


def tour(out: Path) -> Path:
    """Make every stop and write ``out/index.html``.

    Returns:
        The page.

    Raises:
        InputError: ``out`` is not the folder of an earlier tour and not empty, or cannot be written.
    """
    _clear(out)
    sections, began = [], time.perf_counter()
    for number, stop in enumerate(STOPS, 1):
        print(f"[{number}/{len(STOPS)}] {stop.title}", file=sys.stderr)
        start = time.perf_counter()
        section = stop.visit(out)
        sections.append(section)
        print(f"      {time.perf_counter() - start:.0f} s", file=sys.stderr)
    subtitle = (
        f"{len(STOPS)} stops on data that comes with pendio, in {time.perf_counter() - began:.0f} seconds on this machine. "
        "Each shows the command that does the same for you; put your own folder after --data."
    )
    page = out / "index.html"
    write_page(page, "A tour of pendio", subtitle, sections)
    return page


def _clear(out: Path) -> None:
    """Empty the folder of an earlier tour."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / ".pendio-tour").is_file():
        raise InputError(f"'{out}' exists and is no earlier tour; choose another folder with --out")
    with writing(out):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / ".pendio-tour").touch()


STOPS = (
    Stop("One neuron, and many", neurons.neurons),
    Stop("Walk down in the open", neurons.descent),
    Stop("Learn to read digits", classifying.digits),
    Stop("Draw a boundary", classifying.spirals),
    Stop("Why depth needs help", neurons.depth),
    Stop("Count before you train", classifying.anatomy),
    Stop("Teach an old network new classes", classifying.textures),
    Stop("Name what is in a picture", classifying.photos),
    Stop("See where", seeing.seeing),
    Stop("Make new ones", generating.generating),
    Stop("Densities, and spaces of codes", generating.densities),
    Stop("Look inside", looking.inside),
    Stop("Dream and paint", looking.dreams),
    Stop("Change its mind", looking.fooled),
    Stop("Read and write", sequences.sequences),
    Stop("Learn by acting", acting.acting),
)
"""The stops, in order."""
