"""The commands on translators and taggers, as a user gives them."""

import json
import random
from pathlib import Path

import pytest

import pendio
from pendio.runs.run import Run

from ..conftest import mistake

TRANSLATE = ("train", "translate", "--width", "16", "--heads", "2", "--layers", "1", "--epochs", "1", "--warmup", "0")
TAG = ("train", "tag", "--width", "16", "--epochs", "1", "--warmup", "0")


@pytest.fixture(scope="session")
def reversed_pairs(tmp_path_factory):
    """Pairs of a word and its first letter twice: learnt in seconds."""
    chance = random.Random(0)
    words = sorted({"".join(chance.choices("abcdef", k=chance.randint(2, 4))) for _ in range(700)})
    path = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    path.write_text("".join(f"{word}\t{word[0] * 2}\n" for word in words), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def translator(reversed_pairs, tmp_path_factory):
    """A translator that has learnt them."""
    out = tmp_path_factory.mktemp("runs") / "translator"
    return pendio.train("translate", progress=False, data=str(reversed_pairs), width=32, heads=2, layers=1, epochs=25,
                        batch=32, lr=0.005, warmup=1.0, out=str(out))  # fmt: skip


@pytest.fixture(scope="session")
def moods(tmp_path_factory):
    """Texts whose label is told by one word."""
    chance = random.Random(0)
    rows = []
    for _ in range(400):
        label = chance.choice(["good", "bad"])
        word = {"good": ["fine", "great"], "bad": ["awful", "poor"]}[label]
        rows.append(f"{' '.join(chance.choices(['it', 'was', 'a', 'day'], k=3))} {chance.choice(word)},{label}")
    path = tmp_path_factory.mktemp("texts") / "moods.csv"
    path.write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tagger(moods, tmp_path_factory):
    """A tagger that has learnt them."""
    out = tmp_path_factory.mktemp("runs") / "tagger"
    return pendio.train("tag", progress=False, data=str(moods), model="lstm", width=24, epochs=6, lr=0.01,
                        tokenizer="words", out=str(out))  # fmt: skip


def test_a_translator_translates(cli, translator):
    result = cli("predict", translator.folder, "abc", "fed")
    assert result.out == "abc → aa\nfed → ff\n"
    (one,) = json.loads(cli("predict", translator.folder, "bad", "--beams", "3", "--json").out)
    assert one["translation"] == "bb"
    assert len(one["candidates"]) == 3
    measured = json.loads(cli("evaluate", translator.folder, "--json").out)
    assert measured["exact"] > 0.95
    assert measured["split"] == "test"
    told = cli("evaluate", translator.folder, "--split", "val").out
    assert "exact" in told
    assert "BLEU" in told


def test_a_tagger_names_classes(cli, tagger):
    result = cli("predict", tagger.folder, "it was a great day", "--top", "1")
    assert result.out.startswith("it was a great day: good ")
    measured = json.loads(cli("evaluate", tagger.folder, "--json").out)
    assert measured["accuracy"] > 0.95
    assert "good: precision" in cli("evaluate", tagger.folder).out
    Path("lines.txt").write_text("an awful day\nfine\n")
    said = json.loads(cli("predict", tagger.folder, "lines.txt", "--json").out)
    assert [one["class"] for one in said] == ["bad", "good"]


@pytest.mark.parametrize("which", ["translator", "tagger"])
def test_reports_are_rebuilt_and_runs_diagnosed(cli, request, which):
    run = request.getfixturevalue(which)
    page = run.folder / "report.html"
    page.unlink()
    assert cli("report", run.folder).code == 0
    assert "Results" in page.read_text()
    assert cli("diagnose", run.folder).code == 0


def test_what_runs_looked_at_is_drawn(cli, translator, tagger):
    result = cli("predict", translator.folder, "abc", "--attention")
    assert result.code == 0, result.err
    assert any(Path("looking").glob("*.png"))
    result = cli("predict", tagger.folder, "it was great", "--attention", "--out", "seen", "--json")
    (said,) = json.loads(result.out)
    assert said["pictures"]
    assert all(Path(one["file"]).is_file() for one in said["pictures"])


def test_families_of_taggers_have_presets_that_are_told(cli):
    result = cli(*TAG, "--data", "adding", "--model", "rnn", "--length", "12", "--steps", "2", "--out", "run")
    assert result.code == 0, result.err
    assert "preset for rnn on adding: --lr 0.001 --dropout 0.0" in result.err
    plan = Run.open("run").config["plan"]
    assert (plan["lr"], plan["dropout"]) == (0.001, 0.0)
    assert Run.open("run").config["options"]["width"] == 16


def test_a_pretrained_encoder_is_tuned_or_kept(cli, moods, tmp_path):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path / "bert"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "it", "was", "a", "day", "fine", "great", "awful", "poor"]
    config = transformers.BertConfig(vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=64, max_position_embeddings=16)  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    flags = ("train", "tag", "--data", moods, "--model", folder, "--epochs", "3", "--lr", "0.005")
    for more, name in ((("--freeze",), "kept"), ((), "tuned")):
        result = cli(*flags, *more, "--out", name)
        assert result.code == 0, result.err
    kept, tuned = (Run.open(name).weights("last") for name in ("kept", "tuned"))
    weight = "tagger.encoder.encoder.body.layers.0.attention.join.weight"
    assert not kept[weight].equal(tuned[weight])
    # The run needs the folder no more.
    folder.rename(tmp_path / "elsewhere")
    assert json.loads(cli("evaluate", "tuned", "--json").out)["accuracy"] > 0.9
    assert "great: " in cli("predict", "tuned", "great").out
    seen = json.loads(cli("predict", "tuned", "it was great", "--attention", "--json").out)[0]
    drawn = [Path(one["file"]).name for one in seen["pictures"]]
    assert drawn == ["inputs.png", "attention-layer-1.png", "attention-layer-1-mean.png"]
    assert "there is no such layer" in mistake(cli("predict", "tuned", "great", "--attention", "--layer", "2"))
    assert "has 15 tokens, and this model reads 14" in mistake(cli("predict", "tuned", "great " * 15))
    assert cli("predict", "tuned", "great " * 14).code == 0
    assert cli("diagnose", "tuned").code == 0


def test_the_marks_of_a_pretrained_encoder_stand_where_they_belong():
    import torch

    from pendio.nn.transformer import Form
    from pendio.sequences.pretrained.bert import Encoder
    from pendio.sequences.tagging.pretrained import Framed

    torch.manual_seed(0)
    encoder = Encoder(20, Form(width=16, heads=2, layers=2, length=12, norm="post", norm_inputs=True)).eval()
    framed = Framed(encoder, 2, 3)
    tokens = torch.tensor([[7, 8, 9, 10], [11, 12, 0, 0]])
    features = framed.read(framed.embed(tokens), tokens != 0)
    for row, text in ((0, [7, 8, 9, 10]), (1, [11, 12])):
        alone = encoder(torch.tensor([[2, *text, 3]]))[0, 1:-1]
        assert torch.allclose(features[row, : len(text)], alone, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("source\ttarget\none\tuno\ntwo\n", "line 3"),
        ("", "empty"),
    ],
)
def test_pairs_that_cannot_be_learnt(cli, content, message):
    Path("pairs.tsv").write_text(content)
    assert message in mistake(cli(*TRANSLATE, "--data", "pairs.tsv"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("predict", "RUN", "xyz"), "'x'"),
        (("predict", "RUN", "abc", "--top", "3"), "--top is for runs that name classes"),
        (("predict", "RUN", "abc", "--penalty", "0.5"), "--penalty weighs lengths in a beam search"),
        (("predict", "RUN", "abc", "--beams", "0"), "--beams must be 1 to 64"),
        (("predict", "RUN", "abc", "--layer", "0"), "add --attention"),
        (("predict", "RUN", "abc", "--out", "here"), "--out is for --attention"),
        (("predict", "RUN", "abc", "--attention", "--layer", "7"), "7"),
        (("evaluate", "RUN", "RUN"), "is measured alone"),
        (("evaluate", "RUN", "--split", "all"), "are measured on train, val or test"),
        (("sample", "RUN"), "is not one of 'train language'"),
        (("export", "RUN", "--to", "onnx"), "train translate"),
    ],
)
def test_what_cannot_be_asked_of_a_translator(cli, translator, flags, message):
    words = [str(translator.folder) if word == "RUN" else word for word in flags]
    assert message in mistake(cli(*words))


def test_what_cannot_be_asked_of_a_tagger(cli, tagger, digits_run):
    assert "--beams and --penalty are for runs of 'train translate'" in mistake(
        cli("predict", tagger.folder, "fine", "--beams", "3")
    )
    assert "--beams and --penalty are for" in mistake(cli("predict", digits_run.folder, "coffee", "--beams", "3"))
    assert "--attention is for runs of" in mistake(cli("predict", digits_run.folder, "coffee", "--attention"))
    assert "--freeze keeps trained weights" in mistake(cli(*TAG, "--data", "names", "--freeze"))
    assert "did you mean 'lstm'" in mistake(cli(*TAG, "--data", "names", "--model", "lstn"))
