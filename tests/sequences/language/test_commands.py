import itertools
import json
import os
import signal
from pathlib import Path

import pytest
import torch

import pendio
from pendio.errors import InputError
from pendio.runs.run import Run
from pendio.sequences.language.recipe import load_language
from pendio.sequences.language.task import Language

from ...conftest import mistake
from .conftest import ANIMALS, COLORS, VERBS

SMALL = {"--model": "lstm", "--width": "8", "--layers": "1", "--context": "16", "--epochs": "1"}


def arguments(**changed):
    """A small training."""
    options = SMALL | {f"--{name.replace('_', '-')}": str(value) for name, value in changed.items()}
    return ["train", "language", *(word for pair in options.items() for word in pair)]


def words_of(text):
    return [word for line in text.splitlines()[1:-1] for word in line.rstrip(".").split()]


def test_a_trained_model_writes_what_it_has_read(cli, lstm_run):
    result = cli("sample", lstm_run.folder, "--prompt", "the cat", "--tokens", "300", "--temperature", "0.5")
    assert result.code == 0, result.err
    assert result.out.startswith("the cat ")
    known = {"the", "a", *ANIMALS, *VERBS, *COLORS}
    written = words_of(result.out)
    assert sum(word in known for word in written) > 0.9 * len(written) > 20


def test_the_same_seed_writes_the_same_and_another_does_not(cli, lstm_run):
    texts = [cli("sample", lstm_run.folder, "--tokens", 120, "--seed", seed).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_several_texts_as_json_and_into_a_file(cli, transformer_run):
    result = cli("sample", transformer_run.folder, "-n", "3", "--tokens", "20", "--prompt", "the", "--json")
    texts = json.loads(result.out)
    assert [one["prompt"] for one in texts] == ["the"] * 3
    assert all(len(one["text"]) == 20 for one in texts)
    assert cli("sample", transformer_run.folder, "-n", "2", "--tokens", "9", "--out", "texts.txt").code == 0
    assert len(Path("texts.txt").read_text()) > 18


def test_it_stops_before_a_stop_sequence(cli, lstm_run):
    text = cli("sample", lstm_run.folder, "--prompt", "the dog", "--stop", ".", "--tokens", "300").out
    assert "." not in text
    assert text.startswith("the dog ")


def test_the_likeliest_text_is_likelier_than_the_greedy_one(cli, transformer_run):
    task = load_language(transformer_run)
    beams, greedy = (
        cli("sample", transformer_run.folder, "--prompt", "the", "--tokens", "12", *options, "--json").out
        for options in (("--beams", "8"), ("--temperature", "0"))
    )

    def log_probability(text):
        tokens = torch.from_numpy(task.tokenizer.encode("the" + text))
        chances = task.predict(tokens[None])[0].log_softmax(1)
        return sum(float(chances[place - 1, tokens[place]]) for place in range(3, len(tokens)))

    found, walked = (log_probability(json.loads(one)[0]["text"]) for one in (beams, greedy))
    assert found >= walked - 1e-4


def test_a_run_is_measured_as_in_training(cli, lstm_run):
    measured = json.loads(cli("evaluate", lstm_run.folder, "--json").out)
    best = [record for record in lstm_run.history() if record["best"]][-1]
    assert measured["loss"] == pytest.approx(best["val_loss"], rel=0.02)
    assert measured["split"] == "val"
    assert "bits_per_byte" in cli("evaluate", lstm_run.folder).out


def test_what_surprises_it_and_what_it_expects(cli, lstm_run):
    (said,) = json.loads(cli("predict", lstm_run.folder, "the cat sees a red do", "--top", "2", "--json").out)
    assert said["following"][0][0] == "g"
    assert said["following"][0][1] > 0.9
    assert len(said["bits"]) == len("the cat sees a red do") - 1
    # Which verb it is, is a coin's toss; the rest of the word is certain.
    start = len("the cat ") - 1
    assert said["bits"][start] == pytest.approx(1, abs=0.35)
    assert said["bits"][start + 1] < 0.2
    assert "bits a token; then g" in cli("predict", lstm_run.folder, "the cat sees a red do").out


def test_a_long_text_is_read_in_stretches(cli, transformer_run):
    text = "the cat sees a red dog.\n" * 5
    (said,) = json.loads(cli("predict", transformer_run.folder, text, "--json").out)
    assert len(said["bits"]) == len(text) - 1
    assert sum(said["bits"][40:]) / len(said["bits"][40:]) < 0.6


def test_the_report_shows_what_it_writes(cli, lstm_run):
    page = lstm_run.folder / "report.html"
    page.unlink()
    assert cli("report", lstm_run.folder).code == 0
    text = page.read_text()
    assert "What it writes" in text
    assert "counting after so many tokens" in text
    assert (lstm_run.folder / "pictures" / "surprise.png").is_file()


def test_counting_as_a_command(cli, sentences):
    models = json.loads(cli("count", sentences, "--order", "4", "--json").out)
    assert [model["order"] for model in models] == [0, 1, 2, 3, 4]
    assert models[4]["loss"] < 0.25 < models[0]["loss"]
    assert "tokens of context" in cli("count", sentences, "--order", "1").out


def test_resuming_within_an_epoch_gives_the_same_weights_to_the_bit(cli, sentences, monkeypatch):
    """The hidden state has to be taken up too."""
    flags = {"data": sentences, "batch": 16, "epochs": 1, "steps": 60}
    assert cli(*arguments(**flags), "--out", "whole").code == 0
    steps = itertools.count(1)
    original = Language.loss

    def interrupted(self, batch):
        if next(steps) == 17:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Language, "loss", interrupted)
        assert cli(*arguments(**flags), "--out", "parts").code == 130
    result = cli(*arguments(**flags), "--out", "parts", "--resume")
    assert "after step 17 of 60" in result.err
    first, second = (Run.open(name).weights("last") for name in ("whole", "parts"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_pretrained_decoder_is_tuned(cli, sentences, tmp_path):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    letters = sorted(set(sentences.read_text()))
    tokenizer = Tokenizer(
        models.WordLevel({letter: number for number, letter in enumerate(letters)}, unk_token=letters[0])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    folder = tmp_path / "gpt2"
    config = transformers.GPT2Config(vocab_size=len(letters), n_positions=40, n_embd=32, n_layer=2, n_head=2)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    flags = ("train", "language", "--data", sentences, "--model", folder, "--lr", "0.005", "--epochs", "2")
    result = cli(*flags, "--context", "32", "--out", "tuned")
    assert result.code == 0, result.err
    assert Run.open("tuned").history()[-1]["val_loss"] < 1.0
    # The run needs the folder no more.
    folder.rename(tmp_path / "elsewhere")
    assert cli("sample", "tuned", "--prompt", "the", "--tokens", "30").code == 0
    (tmp_path / "elsewhere").rename(folder)
    told = mistake(cli(*flags, "--context", "64", "--out", "other"))
    assert "--context 64 is more than the 40 places" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a" * 5000, "'a' 5,000 times; there is nothing to learn"),
        (b"good \xff bad", "UTF-8"),
        (b"two words", "too short"),
    ],
)
def test_texts_that_cannot_be_learnt(cli, content, message):
    Path("text.txt").write_bytes(content)
    assert message in mistake(cli(*arguments(data="text.txt")))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"data": "nowhere"}, "no text 'nowhere'"),
        ({"model": "lstmm"}, "did you mean 'lstm'?"),
        ({"context": 0}, "--context must be at least 1"),
        ({"width": 30, "model": "transformer"}, "--width 30 must be a multiple of --heads 4"),
        ({"accumulate": 2}, "--accumulate cuts up the batch"),
        ({"tokenizer": "bytes", "vocabulary": 300}, "leave --vocabulary out"),
        ({"layers": 0}, "--layers must be at least 1"),
    ],
)
def test_options_that_cannot_be(cli, flags, message):
    assert message in mistake(cli(*arguments(**flags)))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--prompt", "the zebra"), "--prompt has 'z', unknown to this model's tokenizer of characters"),
        (("--prompt", "the cat sees a red dog." * 2), "--prompt has 46 tokens, and this model holds 32 at once"),
        (("--temperature", "-1"), "--temperature must be 0 or more"),
        (("--top-k", "0"), "--top-k must be at least 1"),
        (("--top-p", "1.5"), "--top-p must be in (0, 1]"),
        (("--tokens", "0"), "--tokens must be at least 1"),
        (("-n", "0"), "--number must be at least 1"),
        (("--beams", "3", "--temperature", "0.5"), "leave out --temperature"),
        (("--beams", "3", "--tokens", "99"), "together must be at most 32"),
        (("--stop", ""), "--stop must not be empty"),
    ],
)
def test_samples_that_cannot_be_drawn(cli, transformer_run, flags, message):
    assert message in mistake(cli("sample", transformer_run.folder, *flags))


def test_a_tokenizer_of_another_run_is_refused(cli, lstm_run, tmp_path, sentences):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(lstm_run.folder, copy)
    other = pendio.train("language", progress=False, data="pydocs", model="window", width=8, context=16, steps=2,
                         batch=4, out=str(tmp_path / "other"))  # fmt: skip
    shutil.copy(other.folder / "tokenizer.json", copy / "tokenizer.json")
    assert "does not match the weights" in mistake(cli("sample", copy))
    (copy / "tokenizer.json").write_text("{")
    assert "tokenizer.json" in mistake(cli("sample", copy))
    (copy / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in mistake(cli("sample", copy))


def test_runs_of_other_tasks_write_nothing(cli, digits_run):
    assert "is not one of 'train language'" in mistake(cli("sample", digits_run.folder))


def test_options_in_python_are_checked_too():
    with pytest.raises(InputError, match="unknown option 'contxt': did you mean 'context'"):
        pendio.train("language", progress=False, contxt=3)
