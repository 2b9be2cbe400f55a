import html.parser

import pytest

from pendio.errors import InputError
from pendio.runs.page import Picture, Section, Table, write_page


class Balance(html.parser.HTMLParser):
    """Collects the tags and texts of a page, and whether each tag was closed."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.texts, self.images = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def test_everything_given_stands_on_the_page(tmp_path):
    table = Table(("name", "value"), [("accuracy", 0.98765), ("count", 3)])
    sections = [
        Section("First", text="a < b & c", code="pendio tour", tables=[table], pictures=[Picture(b"png", "seen")]),
        Section("Second", text="hidden", folded=True),
    ]
    write_page(tmp_path / "page.html", "Title", "Sub", sections)
    page = Balance((tmp_path / "page.html").read_text())
    assert page.open == []
    for text in ("Title", "Sub", "First", "a < b & c", "pendio tour", "accuracy", "0.9877", "3", "seen", "Second"):
        assert text in page.texts, text
    assert page.images == [{"src": "data:image/png;base64,cG5n", "alt": "seen"}]


def test_a_page_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        write_page(tmp_path / "no" / "page.html", "Title", "", [])
