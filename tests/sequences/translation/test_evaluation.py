import pytest

from pendio.sequences.translation.evaluation import Evaluation, Example, evaluate_translator, overlap
from pendio.sequences.translation.recipe import load_translator, open_data, run_options

LONG = ["the quick brown fox jumps over it", "a b c d e"]


def test_perfect_translations_have_all_there_is_to_have():
    found = overlap(LONG, LONG)
    assert (found.bleu, found.chrf) == pytest.approx((100, 100))
    assert "eff:no" in found.bleu_signature
    assert "version:" in found.chrf_signature
    short = overlap(["A", "B C"], ["A", "B C"])
    assert (short.bleu, short.chrf) == pytest.approx((100, 100))
    assert "eff:yes" in short.bleu_signature


def test_bleu_is_the_geometric_mean_of_the_shares_of_runs_of_words():
    # Of 7 words 6 are right, of 6 pairs 5, of 5 triples 4, of 4 runs of four 3; the lengths are equal.
    found = overlap(["the quick brown fox jumps over that"], LONG[:1])
    assert found.bleu == pytest.approx(100 * (6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** 0.25)


def test_translations_and_references_are_not_mixed_up():
    # BLEU punishes what is too short: a translation of half the length, exp(1 − 2).
    found = overlap(["a b c d e f"], ["a b c d e f g h i j k l"])
    assert found.bleu == pytest.approx(100 * 2.718281828459045**-1)


def test_the_worst_come_first_and_wrong_ones_before_right_ones():
    rows = (("a", "A", "A", 100.0), ("b", "B", "A", 0.0), ("c", "C.", "C .", 100.0), ("d", "DD", "D", 50.0))
    examples = tuple(Example(*row) for row in rows)
    found = Evaluation("test", {}, overlap(["A"], ["A"]), examples, 0, 0)
    assert [one.source for one in found.worst(9)] == ["b", "d", "c", "a"]
    assert [one.source for one in found.worst(2)] == ["b", "d"]


def test_a_trained_translator_is_measured_by_what_it_writes(capitals_run):
    task = load_translator(capitals_run)
    data = open_data(run_options(capitals_run), run=capitals_run)
    for name, split in (("test", "test"), ("val", "val")):
        found = evaluate_translator(task, data, split)
        written = task.predict(data.sources[name])
        assert [one.translation for one in found.examples] == written
        assert [one.reference for one in found.examples] == list(data.targets[name])
        exact = sum(a == b for a, b in zip(written, data.targets[name], strict=True)) / len(written)
        assert found.metrics["exact"] == pytest.approx(exact)
        assert found.metrics["bleu"] == pytest.approx(overlap(written, data.targets[name]).bleu)
    best = [record for record in capitals_run.history() if record["best"]][-1]
    assert found.metrics["loss"] == pytest.approx(best["val_loss"], rel=1e-4)
    assert found.metrics["exact"] == pytest.approx(best["val_exact"])
    assert found.to_dict()["examples"] == len(data.val)


def test_without_a_test_split_the_validation_one_is_translated(capitals_run, tmp_path):
    file = tmp_path / "split.tsv"
    file.write_text("abc\tABC\ttrain\nde\tDE\tval\nxa\tXA\tval\n")
    found = evaluate_translator(
        load_translator(capitals_run), open_data(run_options(capitals_run), str(file), capitals_run)
    )
    assert (found.split, len(found.examples), found.unknown) == ("val", 2, 1)


def test_beams_are_used_where_they_are_asked_for(capitals_run):
    task = load_translator(capitals_run)
    data = open_data(run_options(capitals_run), run=capitals_run)
    assert (
        evaluate_translator(task, data, beams=3).metrics["exact"]
        >= evaluate_translator(task, data).metrics["exact"] - 0.1
    )
