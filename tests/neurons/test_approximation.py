import contextlib
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pendio.errors import InputError
from pendio.neurons.approximation import approximate, parse_function, read_function

from ..conftest import mistake


def test_formulas_are_computed_as_python_would():
    points = torch.linspace(0, 1, 7, dtype=torch.float64)
    text = "-sin(2*pi*x)**2 + abs(x - 0.5) % 0.3 / exp(x) + sqrt(x)"
    expected = [
        -(math.sin(2 * math.pi * x) ** 2) + abs(x - 0.5) % 0.3 / math.exp(x) + math.sqrt(x) for x in points.tolist()
    ]
    assert parse_function(text)(points).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sin(6*x", "is no formula"),
        ("__import__('os')", "is not known"),
        ("x.real", "'x.real' in 'x.real' is not known"),
        ("(lambda: 1)()", "is not known"),
        ("y + 1", "'y' in 'y + 1' is not known"),
        ("True", "is not known"),
        ("x" * 1000, "too long"),
    ],
)
def test_what_is_no_formula_is_not_evaluated(text, message):
    with pytest.raises(InputError) as error:
        parse_function(text)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["1/x", "log(x)", "9**9**9**9", "sqrt(x - 2)", "(0-1)**0.5"])
def test_a_formula_without_a_value_is_told_where(text):
    with pytest.raises(InputError, match="value at x = "):
        parse_function(text)(torch.linspace(0, 1, 5))


@given(st.text(alphabet="x0123456789.+-*/%() sincobe^_[]'\"", max_size=40))
def test_any_text_is_a_formula_or_refused(text):
    with contextlib.suppress(InputError):
        parse_function(text)


def test_wider_networks_fit_better_and_the_network_gives_what_was_measured():
    fits = approximate(parse_function("sin(6*x)"), [2, 4, 8, 16, 32])
    errors = [fit.error for fit in fits]
    assert errors == sorted(errors, reverse=True)
    network = fits[-1].network
    outputs = network(fits[-1].points[:, None])[:, 0].detach()
    assert float((outputs - fits[-1].targets).abs().max()) == pytest.approx(errors[-1])
    assert network[0].out_features == fits[-1].width == 32
    assert sum(p.numel() for p in network.parameters()) == 3 * 32 + 1


def test_points_of_a_file_are_joined_by_lines(tmp_path):
    (tmp_path / "f.csv").write_text("x,y\n0,1\n0.5,3\n1,0\n")
    function = read_function(tmp_path / "f.csv")
    assert function(torch.tensor([0.0, 0.25, 0.75])).tolist() == [1, 2, 1.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n0,1\n", "two points or more"),
        ("x,y\n0.5,1\n0.2,1\n", "x rising"),
        ("x,y\n0,1\n2,1\n", r"must lie in \[0, 1\]"),
        ("a,b\n0,1\n1,1\n", "columns x and y"),
        ("x,y\n0,one\n1,1\n", "columns x and y"),
        ("x,y\n0,nan\n1,1\n", "finite"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "f.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_function(tmp_path / "f.csv")


def test_the_command_prints_errors_and_draws(cli):
    rows = json.loads(cli("approximate", "x**2", "--widths", 2, "--widths", 8, "--json", "--out", "fit.png").out)
    assert [row["width"] for row in rows] == [2, 8]
    assert rows[0]["error"] > 10 * rows[1]["error"]
    assert Path("fit.png").read_bytes().startswith(b"\x89PNG")
    assert "widths must be at least 1, got 0" in mistake(cli("approximate", "x", "--widths", 0))
