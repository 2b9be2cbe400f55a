import json

import pytest
import torch
import yaml

from pendio.errors import InputError
from pendio.nn.transformer import Form
from pendio.runs.run import Run
from pendio.sequences.translation.recipe import load_translator, open_data, run_options
from pendio.sequences.translation.report import draw_look, look, sharpest_head

from ...conftest import pixels
from .conftest import train, write_pairs


def test_training_learns_to_write_capitals(capitals_run):
    history = capitals_run.history()
    assert max(record["val_exact"] for record in history) >= 0.8
    assert history[-1]["val_loss"] < 0.3 * history[0]["val_loss"]


def test_the_folder_holds_the_tokenizers_and_a_report(capitals_run):
    for name, letters in (("source.json", "abcde"), ("target.json", "ABCDE")):
        assert json.loads((capitals_run.folder / name).read_text()) == {
            "kind": "characters", "marks": True, "characters": letters,
        }  # fmt: skip
    assert capitals_run.config["recipe"] == "translate"
    assert capitals_run.config["data"]["examples"] == {"train": 108, "val": 16, "test": 31}
    page = (capitals_run.folder / "report.html").read_text()
    for text in ("texts translated exactly", "nrefs:1|case:mixed", "Where it looks", "pendio train translate --config"):
        assert text in page
    assert {"curves.png", "attention-1.png", "layers.png"} <= {
        path.name for path in (capitals_run.folder / "pictures").iterdir()
    }


def test_what_goes_on_keeps_the_tokens_that_it_has_learnt(tmp_path):
    file = write_pairs(tmp_path / "pairs.tsv")
    run = train(file, tmp_path / "run", epochs=1)
    write_pairs(file, ["ZZ\tzz"] * 2)
    again = train(file, tmp_path / "run", epochs=2, resume=True)
    assert load_translator(again).source.names[4:] == ("a", "b", "c", "d", "e")
    assert (again.folder / "source.json").read_text() == (run.folder / "source.json").read_text()
    assert len(again.history()) == 2


def test_options_reach_the_network_and_the_data(tmp_path, capitals_run):
    options = {"norm": "post", "positions": "learned", "score": "cosine", "dropout": 0.2, "split_seed": 3}
    run = train(write_pairs(tmp_path / "pairs.tsv"), tmp_path / "run", epochs=1, label_smoothing=0.3, **options)
    task = load_translator(run)
    assert task.label_smoothing == 0.3
    assert task.network.form == Form(
        width=16, heads=2, layers=1, length=12, norm="post", positions="learned", score="cosine", dropout=0.2
    )
    data, other = (open_data(run_options(one), run=one) for one in (run, capitals_run))
    assert set(data.sources["test"]) != set(other.sources["test"])


def test_another_seed_gives_other_weights(tmp_path):
    options = {"lr": 1e-9, "epochs": 1, "steps": 1}
    runs = [train(write_pairs(tmp_path / "pairs.tsv"), tmp_path / str(seed), seed=seed, **options) for seed in (0, 1)]
    first, second = (run.weights()["network.source.weight"] for run in runs)
    assert (first - second).abs().max() > 0.1


def test_a_trained_run_loads_as_it_was(capitals_run):
    task = load_translator(capitals_run)
    assert not task.training
    assert not any(parameter.requires_grad for parameter in task.parameters())
    # Words of three letters and the end.
    assert (task.label_smoothing, task.longest) == (0.1, 4)
    options = run_options(capitals_run)
    assert (options.width, options.plan.epochs, options.length) == (16, 15, 12)
    other = open_data(options, run=capitals_run)
    assert (other.source, other.target) == (task.source, task.target)


def test_whether_the_unknown_was_learnt_is_remembered(tmp_path, capitals_run):
    assert not load_translator(capitals_run).knows_unknown
    run = train(write_pairs(tmp_path / "pairs.tsv"), tmp_path / "run", epochs=1, vocabulary=7)
    task = load_translator(run)
    assert len(set("abcde") - set(task.source.names)) == 2
    assert task.knows_unknown
    assert len(task.predict(["abcde"])) == 1


def saved_letters(letters):
    return json.dumps({"kind": "characters", "marks": True, "characters": letters})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "source.json").unlink(), "has no source.json"),
        (lambda folder: (folder / "source.json").write_text("{"), "source.json'"),
        (
            lambda folder: (folder / "target.json").write_text(saved_letters("EDCBA")),
            "target.json' is not the tokenizer",
        ),
        (lambda folder: (folder / "source.json").write_text(saved_letters("abc")), "source.json' is not the tokenizer"),
    ],
)
def test_a_tokenizer_that_is_not_that_of_the_weights_is_refused(tmp_path, capitals_run, change, message):
    folder = tmp_path / "run"
    folder.mkdir()
    for file in capitals_run.folder.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    assert load_translator(Run.open(folder)).predict(["ab"]) == load_translator(capitals_run).predict(["ab"])
    change(folder)
    with pytest.raises(InputError) as error:
        load_translator(Run.open(folder))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_does_not_describe_a_translator_is_refused(capitals_run):
    def changed(change):
        config = yaml.safe_load((capitals_run.folder / "config.yaml").read_text())
        change(config)
        return Run(capitals_run.folder, config)

    for change, message in (
        (lambda config: config.update(recipe="classify"), "is not one of 'train translate'"),
        (lambda config: config.pop("plan"), "has no options or no plan"),
        (lambda config: config.pop("tokenizers"), "does not say what its tokenizers were"),
        (lambda config: config.pop("longest"), "does not say how long its longest translation may be"),
        (lambda config: config.update(longest=13), "does not say how long its longest translation may be"),
        (lambda config: config["options"].update(width=32), "do not fit its config"),
        (lambda config: config["options"].update(layers="x"), "--layers must be a whole number"),
    ):
        with pytest.raises(InputError, match=message):
            load_translator(changed(change))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (["only one column", "and again"], "has no tab character"),
        (["a\tA", "b\tB"], "has only 2 different source texts"),
        (["abcdefghijklmnop\tA", "bcdefghijklmnop\tB", "cdefghijklmnop\tC", "d\tD"], "raise --length"),
    ],
)
def test_bad_pairs_are_refused_before_anything_is_written(tmp_path, lines, message):
    file = tmp_path / "pairs.tsv"
    file.write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        train(file, tmp_path / "run")
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_where_it_looks_is_told_of_the_tokens_it_writes(capitals_run):
    task = load_translator(capitals_run)
    seen = look(task, " cab ")
    assert seen.rows == ["C", "A", "B", "<end>"]
    assert seen.columns == ["c", "a", "b"]
    assert seen.weights.shape == (2, 4, 3)
    torch.testing.assert_close(seen.weights.sum(-1), torch.ones(2, 4))
    # A letter in capitals is there to be had from the letter itself.
    assert torch.equal(seen.weights.mean(0)[:3].argmax(1), torch.arange(3))
    both = pixels(draw_look(seen, "all"))
    assert both.shape[1] > 1.5 * pixels(draw_look(seen)).shape[1]
    assert not torch.equal(pixels(draw_look(seen, 0)), pixels(draw_look(seen, 1)))
    assert look(task, "cxb").columns == ["c", "<unknown>", "b"]


@pytest.mark.parametrize(
    ("options", "head", "message"),
    [
        ({"text": "a", "layer": 1}, 0, "there is no layer 1: the decoder has 1, counted from 0"),
        ({"text": "a", "layer": -2}, 0, "there is no layer -2"),
        ({"text": "a"}, 2, "there is no head 2: attention has 2, counted from 0"),
        ({"text": "a"}, -1, "there is no head -1"),
        ({"text": " "}, 0, "text 1 is empty"),
        ({"text": "a" * 13}, 0, "has 13 tokens, and the translator reads 12 at most"),
    ],
)
def test_where_there_is_nothing_to_look_at_is_said(capitals_run, options, head, message):
    with pytest.raises(InputError, match=message):
        draw_look(look(load_translator(capitals_run), **options), head)


def test_the_sharpest_head_looks_at_the_fewest_tokens():
    weights = torch.tensor([[[0.5, 0.5], [0.4, 0.6]], [[1.0, 0.0], [0.1, 0.9]], [[1.0, 0.0], [0.5, 0.5]]])
    assert sharpest_head(weights) == 1
    assert sharpest_head(weights.flip(0)) == 1
    assert sharpest_head(weights[[1, 0]]) == 0
