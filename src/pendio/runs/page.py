"""Self-contained HTML pages: run reports and the tour."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pendio.runs.files import write_text

__all__ = ["Picture", "Section", "Table", "write_page"]


@dataclass(frozen=True)
class Picture:
    """A PNG with a caption."""

    png: bytes
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URL, so that the page needs no other file."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Section:
    """A titled part of a page: text, code, tables and pictures, in this order."""

    title: str
    text: str = ""
    code: str = ""
    tables: Sequence[Table] = field(default=())
    pictures: Sequence[Picture] = field(default=())
    folded: bool = False


def _format(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def write_page(path: Path, title: str, subtitle: str, sections: Sequence[Section]) -> None:
    """Write an HTML page that needs no network and no other file."""
    environment = Environment(loader=PackageLoader("pendio.runs"), autoescape=True, undefined=StrictUndefined)
    environment.filters["number"] = _format
    page = environment.get_template("page.html.j2").render(title=title, subtitle=subtitle, sections=sections)
    write_text(path, page)
