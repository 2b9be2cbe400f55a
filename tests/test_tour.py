import re

import pytest

from pendio.errors import InputError
from pendio.tour.walk import STOPS, tour


@pytest.mark.timeout(900)  # two minutes alone, several where the machine has other work
def test_the_tour_makes_every_stop_and_one_page_that_needs_nothing_else(tmp_path):
    page = tour(tmp_path / "tour")
    text = page.read_text()
    for stop in STOPS:
        assert f"<h2>{stop.title}</h2>" in text
    assert text.count("data:image/png;base64,") >= len(STOPS)
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    accuracies = [float(value) for value in re.findall(r"([\d.]+)%</td>", text)]
    assert min(accuracies) > 90
    assert max(accuracies) > 98.5
    assert "pendio train classify --data textures --model efficientnet-lite0 --freeze" in text


def test_the_tour_does_not_empty_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="exists and is no earlier tour"):
        tour(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
