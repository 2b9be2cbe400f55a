import shutil

from pendio.data.text.pairs import open_pairs
from pendio.runs.run import Run
from pendio.sequences.translation.diagnosis import diagnose_translator
from pendio.sequences.translation.recipe import open_data, run_options


def kinds(run, data):
    return [one.kind for one in diagnose_translator(run, data)]


def test_nothing_is_wrong_with_what_has_learnt_its_pairs(capitals_run):
    assert kinds(capitals_run, open_data(run_options(capitals_run), run=capitals_run)) == []


def test_overfitting_is_read_from_the_curves(tmp_path, capitals_run):
    shutil.copytree(capitals_run.folder, tmp_path / "run")
    lines = [f'{{"step": {n}, "epoch": {n}, "loss": {1 / n}, "val_loss": {2 + abs(n - 2) / 4}}}\n' for n in range(1, 6)]
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(lines))
    run = Run.open(tmp_path / "run")
    assert kinds(run, open_data(run_options(run), run=run)) == ["overfitting"]


def write(path, rows):
    path.write_text("".join(f"{source}\t{target}\t{split}\n" for source, target, split in rows), encoding="utf-8")
    return path


def test_words_that_come_once_are_told_on_either_side(tmp_path, capitals_run):
    for turned in (False, True):
        rows = [("yes no", f"word{n} other{n}", "train" if n < 20 else "val") for n in range(24)]
        rows = [(f"{source} {n % 2}", target, split) for n, (source, target, split) in enumerate(rows)]
        rows = [(target, source, split) if turned else (source, target, split) for source, target, split in rows]
        data = open_pairs(write(tmp_path / "pairs.tsv", rows), tokenizer="words")
        assert kinds(capitals_run, data) == ["unused-vocabulary", "unknown-tokens"]


def test_padding_is_told_where_lengths_are_unequal(tmp_path, capitals_run):
    # A batch of 8 of few and unequal sequences.
    rows = [
        ("ab" * (1 if n % 8 else 100), "ab" * (1 if n % 8 else 100) + "abab"[: n % 3 + 1], "train") for n in range(8)
    ]
    rows = [(source + "ba" * n, target, split) for n, (source, target, split) in enumerate(rows)]
    data = open_pairs(write(tmp_path / "pairs.tsv", [*rows, ("ba", "ab", "val")]))
    [found] = diagnose_translator(capitals_run, data)
    assert found.kind == "padding-waste"
    assert found.evidence == f"{data.train.waste(8):.0%} of the tokens in batches of 8 are padding"
