import dataclasses
import re

import pytest
import torch
import yaml

import pendio
from pendio.classification.evaluation import evaluate_classifiers, write_report
from pendio.classification.recipe import open_data, run_options
from pendio.data.examples import Finding, Resident
from pendio.errors import InputError
from pendio.runs.run import Run


@pytest.fixture(scope="module")
def digits(digits_run):
    return open_data(run_options(digits_run))


def test_one_classifier_is_measured_as_fit_measures_it(digits_run, digits):
    task = pendio.load(digits_run.folder)
    evaluation = evaluate_classifiers([task], digits, [digits.val])
    assert evaluation.metrics == pytest.approx(pendio.evaluate(task, digits.val), rel=1e-5)
    result = evaluation.to_dict()
    assert result["examples"] == 179
    assert sum(map(sum, result["confusion"])) == 179
    assert result["classes"]["3"]["examples"] == sum(result["confusion"][3])


def test_an_ensemble_is_the_mean_of_probabilities(digits_run, second_run, digits):
    tasks = [pendio.load(run.folder) for run in (digits_run, second_run)]
    together = evaluate_classifiers(tasks, digits, [digits.test])
    expected = sum(evaluate_classifiers([task], digits, [digits.test]).probabilities for task in tasks) / 2
    torch.testing.assert_close(together.probabilities, expected)
    right = (expected.argmax(1) == together.targets).double().mean()
    assert together.metrics["accuracy"] == pytest.approx(float(right))


def test_classes_are_matched_by_name_not_by_number(digits_run, digits):
    """Data that lists the same classes in another order must give the same accuracy."""
    task = pendio.load(digits_run.folder)
    turned = dataclasses.replace(digits, classes=tuple(reversed(digits.classes)))
    split = Resident(digits.test.inputs, 9 - digits.test.targets)
    straight = evaluate_classifiers([task], digits, [digits.test])
    assert evaluate_classifiers([task], turned, [split]).metrics == straight.metrics


def test_unknown_classes_and_unlike_runs_are_refused(digits_run, digits, tmp_path):
    task = pendio.load(digits_run.folder)
    other = dataclasses.replace(digits, classes=(*digits.classes[:9], "ten"))
    with pytest.raises(InputError, match="has classes the run does not know: ten"):
        evaluate_classifiers([task], other, [digits.test])
    moons = pendio.train("classify", progress=False, data="moons", model="mlp", epochs=1, out=tmp_path / "moons")
    with pytest.raises(InputError, match="trained on different classes"):
        evaluate_classifiers([task, pendio.load(moons.folder)], digits, [digits.test])


def test_the_report_needs_nothing_else_and_tells_the_worst(digits_run):
    page = (digits_run.folder / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", page), "the page must not load anything"
    assert page.count("data:image/png;base64,") == 6
    assert "cnn on digits" in page
    assert "pendio train classify --config" in page
    for name in ("curves", "confusion", "worst", "best", "data", "layers"):
        assert (digits_run.folder / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_names_from_others_cannot_write_html(digits_run, digits, tmp_path):
    run = Run(tmp_path, yaml.safe_load((digits_run.folder / "config.yaml").read_text()))
    (tmp_path / "metrics.jsonl").write_text((digits_run.folder / "metrics.jsonl").read_text())
    evil = "<script>alert(1)</script>"
    data = dataclasses.replace(digits, name=evil, findings=(Finding("odd", evil),))
    write_report(run, pendio.load(digits_run.folder), data)
    page = (tmp_path / "report.html").read_text()
    assert evil not in page
    assert page.count("&lt;script&gt;") >= 2


def test_data_of_no_examples_is_refused(digits_run, digits):
    empty = Resident(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long))
    with pytest.raises(InputError, match="no examples"):
        evaluate_classifiers([pendio.load(digits_run.folder)], digits, [empty])
