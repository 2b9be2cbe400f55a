import dataclasses
import json
import shutil

import pytest
import torch
import yaml

from pendio.data.text.tokenizers import read_tokenizer
from pendio.descent.classes import balanced_weights
from pendio.errors import InputError
from pendio.runs.run import Run
from pendio.sequences.tagging.evaluation import evaluate_tagger
from pendio.sequences.tagging.options import TagOptions
from pendio.sequences.tagging.recipe import (
    load_tagger,
    new_task,
    open_data,
    out_of_reach,
    run_data,
    run_facts,
    run_options,
    run_tokenizer,
)

from .conftest import SHOUTS, train, write_table


def test_it_learns_what_a_mark_means(shout_run):
    data = run_data(shout_run)
    evaluation = evaluate_tagger(load_tagger(shout_run), data, [data.split("test")])
    assert evaluation.metrics["accuracy"] == 1
    assert evaluation.confusion.diag().sum() == len(evaluation.targets) == len(data.test)


def test_a_run_loads_as_it_was(shout_run):
    best = [record for record in shout_run.history() if record["best"]][-1]
    data, task = run_data(shout_run), load_tagger(shout_run)
    metrics = evaluate_tagger(task, data, [data.val]).metrics
    assert metrics == pytest.approx({name: best[f"val_{name}"] for name in metrics}, rel=1e-5)
    assert not task.training
    assert not any(weight.requires_grad for weight in task.parameters())
    assert run_tokenizer(shout_run) == data.tokenizer
    assert run_options(shout_run).model == "lstm"


def test_the_folder_holds_a_report(shout_run):
    page = (shout_run.folder / "report.html").read_text()
    for text in ("lstm on", "100.00% of", "Counts of true against predicted", "pendio predict", "balanced_accuracy"):
        assert text in page
    pictures = {path.name for path in (shout_run.folder / "pictures").iterdir()}
    assert {"curves.png", "confusion.png", "layers.png"} <= pictures


def test_resuming_goes_on_to_the_bit(tmp_path, shouts):
    options = {"data": str(shouts), "epochs": 2, "schedule": "constant", "dropout": 0.2, "model": "transformer"}
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "parts", **{**options, "epochs": 1})
    parts = train(tmp_path / "parts", resume=True, **options)
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name


def test_fresh_examples_are_resumed_to_the_bit(tmp_path):
    options = {"data": "adding", "length": 8, "model": "rnn", "epochs": 2, "schedule": "constant", "batch": 1000}
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "parts", **{**options, "epochs": 1})
    parts = train(tmp_path / "parts", resume=True, **options)
    for name, value in whole.weights("last").items():
        assert torch.equal(value, parts.weights("last")[name]), name


def test_rare_classes_weigh_as_if_all_were_as_frequent(shouts):
    data = open_data(TagOptions.of({"data": str(shouts), "class_weights": "balanced"}))
    counts = torch.tensor(data.class_counts)
    assert counts.tolist() == [14, 28, 28]
    assert data.classes == ("ask", "calm", "shout")
    assert balanced_weights(data.class_counts) == pytest.approx([70 / (3 * 14), 70 / (3 * 28), 70 / (3 * 28)])
    assert sum(
        w * n for w, n in zip(balanced_weights(data.class_counts), counts.tolist(), strict=True)
    ) == pytest.approx(70)


def test_numbers_and_steps_have_reports_too(tmp_path):
    adding = train(tmp_path / "adding", data="adding", length=4, epochs=1, batch=256)
    page = (adding.folder / "report.html").read_text()
    assert "mean squared error" in page
    assert "6400 train, 1000 val, 2000 test sequences of 4 steps of 2 numbers" in page
    assert not (adding.folder / "tokenizer.json").exists()
    copying = train(tmp_path / "copying", data="copying", length=2, epochs=1, batch=256)
    page = (copying.folder / "report.html").read_text()
    assert "of the answers right, all of a sequence in" in page
    assert load_tagger(copying).predict(run_data(copying).test.take(torch.arange(3)).inputs).shape == (3, 8, 8)


@pytest.mark.parametrize(("model", "seen"), [("tcn", 13), ("window", 8), ("lstm", None), ("transformer", None)])
def test_what_a_model_cannot_see_is_said(shouts, model, seen):
    data = open_data(TagOptions.of({"data": str(shouts)}))
    task = new_task(TagOptions.of({"model": model, "layers": 2, "width": 8}), {**data.describe(), "length": 40})
    note = out_of_reach(task, dataclasses.replace(data, length=40))
    assert not out_of_reach(task, dataclasses.replace(data, length=seen or 40))
    assert note == ([f"noticed: the model sees the last {seen} steps of up to 40; a window sees more with --window, "
                     "a tcn with --layers"] if seen else [])  # fmt: skip


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(shout_run):
    options, facts = run_options(shout_run), run_facts(shout_run)
    first = new_task(options, facts).state_dict()
    torch.rand(7)
    second = new_task(options, facts).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_other_data_of_the_same_form_is_measured_by_names_of_classes(tmp_path, shout_run):
    # Classes are numbered anew where one is missing, and a text is cut at what the model has seen.
    rows = [
        (f"{word}{mark}", label)
        for word in ("wow", "yes", "zip", "kid")
        for mark, label in (("!", "shout"), ("?", "ask"))
    ]
    table = write_table(tmp_path / "other.csv", rows)
    data = run_data(shout_run, str(table))
    assert data.classes == ("ask", "shout")
    evaluation = evaluate_tagger(load_tagger(shout_run), data, [data.train, data.val, data.test])
    assert evaluation.metrics["accuracy"] == 1
    assert evaluation.to_dict()["classes"]["calm"]["examples"] == 0


def test_longer_texts_of_other_data_are_cut_at_what_the_model_has_seen(tmp_path, shout_run):
    rows = [(f"{number} and so on!", "shout") for number in range(8)] + [("a", "ask"), ("b", "ask")]
    data = run_data(shout_run, str(write_table(tmp_path / "long.csv", rows)))
    assert data.length == run_facts(shout_run)["length"] == 6
    assert any(finding.kind == "long" for finding in data.findings)


def test_options_reach_the_loss(shouts):
    options = TagOptions.of({"data": str(shouts), "label_smoothing": 0.2, "dropout": 0.4, "width": 12})
    task = new_task(options, open_data(options).describe(), [1.0, 2.0, 3.0])
    assert (task.label_smoothing, task.class_weights.tolist()) == (0.2, [1.0, 2.0, 3.0])
    assert (task.tagger.dropout.p, task.tagger.encoder.dropout.p, task.tagger.encoder.width) == (0.4, 0.4, 12)


def test_the_worst_comes_first(shout_run):
    data = run_data(shout_run)
    evaluation = evaluate_tagger(load_tagger(shout_run), data, [data.test])
    likelihood = evaluation.answers[torch.arange(len(evaluation.targets)), evaluation.targets]
    ranked = likelihood[evaluation.ranked()]
    assert torch.equal(ranked, likelihood.sort().values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "naems"}, "no data 'naems': it is neither a file or folder here, nor an embedded set; did you mean"),
        ({"data": "adding", "class_weights": "balanced"}, "--class-weights balanced: the answers of 'adding'"),
        ({"data": "copying", "class_weights": "balanced"}, "--class-weights balanced: the answers of 'copying'"),
        ({"data": "adding", "label_smoothing": 0.1}, "--label-smoothing is for classes, and the answers of 'adding'"),
        ({"data": "pixels", "length": 9}, "--length 9: a digit has 64 pixels"),
        ({"data": "names", "target": "language"}, "--target language is the column of a table"),
    ],
)
def test_mistakes_cost_a_line(tmp_path, options, message):
    with pytest.raises(InputError) as raised:
        train(tmp_path / "run", **options)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([("a", "x"), ("b", "x")], ("text", "label"), "has one class only, 'x'"),
        ([("a", "x"), ("b", "y"), ("c", "x")], ("text", "label"), "has a single text of class 'y'"),
        ([("a", "x"), ("b", "y")], ("text", "kind"), "has no column 'label' in its header; say with --target"),
        ([("a", "x", "train"), ("f", "x", "train"), ("b", "y", "train"), ("c", "y", "val"), ("d", "z", "val"),
          ("e", "z", "val")], ("text", "label", "split"), "has no text of class 'z' for training"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_learnt_cost_a_line(tmp_path, rows, header, message):
    table = write_table(tmp_path / "table.csv", rows, header)
    with pytest.raises(InputError) as raised:
        train(tmp_path / "run", data=str(table))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_data_of_another_form_cannot_be_measured(tmp_path, shout_run):
    task = load_tagger(shout_run)
    other = write_table(tmp_path / "other.csv", [("wow", "loud"), ("yes", "calm"), ("zip", "loud"), ("kid", "calm")])
    data = run_data(shout_run, str(other))
    with pytest.raises(InputError, match=r"has classes the run does not know: loud; it knows ask, calm, shout"):
        evaluate_tagger(task, data, [data.val])
    with pytest.raises(InputError, match=r"data 'adding' has 2 numbers a step, and the run reads text of \d+ tokens"):
        run_data(shout_run, "adding")
    with pytest.raises(InputError, match=r"data 'copying' has text of 14 tokens, and the run reads text of"):
        run_data(shout_run, "copying")


def test_a_resume_on_changed_text_is_refused(tmp_path):
    table = write_table(tmp_path / "table.csv", SHOUTS)
    train(tmp_path / "run", data=str(table), epochs=1)
    write_table(tmp_path / "table.csv", [(f"{text}Ω", label) for text, label in SHOUTS])
    with pytest.raises(InputError, match=r"has changed since the training in .* began"):
        train(tmp_path / "run", data=str(table), epochs=2, resume=True)


def damaged(run, folder, change):
    """A copy of a run whose data's description was changed."""
    shutil.copytree(run.folder, folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    change(config["data"])
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Run.open(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.clear(),
        lambda data: data.pop("length"),
        lambda data: data.update(length=1 << 40),
        lambda data: data.update(length=True),
        lambda data: data.update(tokens=None),
        lambda data: data.update(classes=["one"]),
        lambda data: data.update(classes=[1, 2, 3]),
        lambda data: data.update(answer="poem"),
        lambda data: data.update(asked=0),
    ],
)
def test_a_damaged_config_costs_a_line(tmp_path, shout_run, change):
    with pytest.raises(InputError, match="does not describe its data") as raised:
        load_tagger(damaged(shout_run, tmp_path / "copy", change))
    assert "\n" not in str(raised.value)


def test_weights_and_tokenizers_of_other_runs_are_refused(tmp_path, shout_run):
    with pytest.raises(InputError, match="do not fit its config"):
        load_tagger(damaged(shout_run, tmp_path / "more", lambda data: data.update(classes=["a", "b", "c", "d"])))
    run = damaged(shout_run, tmp_path / "other", lambda data: None)
    saved = json.loads((run.folder / "tokenizer.json").read_text())
    assert read_tokenizer(json.dumps(saved), "x") == run_tokenizer(shout_run)
    saved["characters"] = saved["characters"][:-1]
    (run.folder / "tokenizer.json").write_text(json.dumps(saved))
    with pytest.raises(InputError, match="it is another run's"):
        run_tokenizer(run)
    (run.folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no tokenizer.json"):
        run_tokenizer(run)
