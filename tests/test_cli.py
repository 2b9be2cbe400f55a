"""Commands as a user gives them, and what each mistake costs: one line, exit code 2, nothing lost."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pendio.data.embedded import photo

from .conftest import mistake
from .data.conftest import fill, picture

PENDIO = [sys.executable, "-m", "pendio"]
QUICK = ("--data", "digits", "--model", "mlp", "--epochs", 1)


@pytest.fixture
def trained(tmp_path, digits_run):
    """A run folder of one's own, to damage."""
    return Path(shutil.copytree(digits_run.folder, tmp_path / "trained"))


def start(*arguments, **options):
    return subprocess.run([*PENDIO, *map(str, arguments)], capture_output=True, text=True, check=False, **options)


# What there is


def test_help_and_import_do_not_load_torch():
    for code in ("import pendio", "from pendio.cli import main"):
        probe = f"{code}; import sys; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0, code
    result = start("--help")
    assert result.returncode == 0
    for command in ("train", "evaluate", "predict", "summary", "export", "report", "list", "tour"):
        assert command in result.stdout


def test_every_option_of_training_is_explained(cli):
    text = " ".join(cli("train", "classify", "--help").out.split())
    for option in ("--lr", "--batch", "--freeze", "--augment", "--precision", "--class-weights", "--no-pretrained"):
        assert option in text
    assert "Learning rate at the schedule's highest point." in text


@pytest.mark.parametrize("what", ["tasks", "models", "data"])
def test_lists_name_what_exists(cli, what):
    rows = json.loads(cli("list", what, "--json").out)
    lines = cli("list", what).out.splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == list(rows)
    assert {"tasks": "classify", "models": "efficientnet-lite0", "data": "textures"}[what] in rows


# From data to a used network


def test_a_run_from_training_to_report(cli):
    result = cli("train", "classify", *QUICK, "--out", "run")
    assert result.code == 0
    assert result.out == "", "results go to standard output, and training has none"
    assert "epoch 1/1" in result.err
    assert "report.html" in result.err
    measured = json.loads(cli("evaluate", "run", "--json").out)
    assert measured["examples"] == 359
    assert measured["accuracy"] > 0.8
    assert f"{measured['accuracy']:.4f}" in cli("evaluate", "run").out
    everything = json.loads(cli("evaluate", "run", "--split", "all", "--json").out)
    assert everything["examples"] == 1797
    other = json.loads(cli("evaluate", "run", "--data", "digits", "--json").out)
    assert other["examples"] == 1797
    Path("run/report.html").unlink()
    assert cli("report", "run").code == 0
    assert Path("run/report.html").is_file()


def test_an_ensemble_is_evaluated_in_one_command(cli, digits_run, second_run):
    result = json.loads(cli("evaluate", digits_run.folder, second_run.folder, "--json").out)
    assert len(result["runs"]) == 2
    assert result["accuracy"] > 0.9


def test_efficientnet_predicts_a_cup_of_espresso(cli):
    (answer,) = json.loads(cli("predict", "efficientnet-lite0", "coffee.png", "--json").out)
    assert answer["class"] == "espresso"
    assert answer["probability"] == pytest.approx(0.94, abs=0.005)
    assert answer["top"][0] == {"class": "espresso", "probability": answer["probability"]}


def test_predictions_of_a_folder_are_written_and_bad_images_named(cli, digits_run):
    Path("pictures").mkdir()
    picture(1).save("pictures/good.png")
    Path("pictures/bad.png").write_bytes(b"\x89PNG and no more")
    result = cli("predict", digits_run.folder, "pictures", "--top", 2, "--out", "answers")
    assert result.code == 0
    assert result.out.startswith("pictures/good.png: ")
    assert "skipped" in result.err
    assert "bad.png" in result.err
    header, line = Path("answers/predictions.csv").read_text().splitlines()
    assert header == "input,class,probability"
    assert line.startswith("pictures/good.png,")


@pytest.mark.parametrize(("format_", "file"), [("onnx", "model.onnx"), ("torch-export", "model.pt2")])
def test_networks_are_exported_beside_their_run(cli, trained, format_, file):
    result = json.loads(cli("export", trained, "--to", format_, "--json").out)
    assert result["file"] == str(trained / file)
    assert result["max_difference"] < 1e-4
    assert (trained / file).stat().st_size == result["bytes"]


def test_a_summary_counts_models_and_runs(cli, digits_run):
    counted = json.loads(cli("summary", "torchvision:vgg16", "--json").out)
    assert (counted["parameters"], counted["input"]) == (138_357_544, [3, 224, 224])
    assert "138,357,544" in cli("summary", "torchvision:vgg16").out
    run = json.loads(cli("summary", digits_run.folder, "--json").out)
    assert run["input"] == [1, 8, 8]
    small = json.loads(cli("summary", "cnn", "--input", "1,28,28", "--json").out)
    assert small["input"] == [1, 28, 28]


def test_a_summary_adds_up_to_a_depth_and_makes_a_page(cli):
    rows = json.loads(cli("summary", "timm:resnet18", "--depth", 1, "--json", "--html", "layers.html").out)["layers"]
    assert [row["name"] for row in rows] == [
        "conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4", "global_pool", "fc",
    ]  # fmt: skip
    assert sum(row["parameters"] for row in rows) == 11_689_512
    assert rows[7]["field"]["axes"][0] == {"stride": 32, "first": -217, "last": 217}
    page = Path("layers.html").read_text()
    assert "<td>layer4</td>" in page
    assert "11,689,512" in page
    assert "--depth must be at least 1" in mistake(cli("summary", "cnn", "--depth", 0))


def test_a_config_gives_the_options_and_flags_override_it(cli):
    cli("train", "classify", *QUICK, "--lr", 0.01, "--out", "first")
    result = cli("train", "classify", "--config", "first/config.yaml", "--seed", 3, "--out", "second")
    assert result.code == 0
    first, second = (yaml.safe_load(Path(name, "config.yaml").read_text()) for name in ("first", "second"))
    assert second["plan"] == {**first["plan"], "seed": 3}
    assert second["options"] == first["options"]
    Path("own.yaml").write_text("data: digits\nmodel: mlp\nepochs: 1\nlabel_smoothing: 0.1\n")
    assert cli("train", "classify", "--config=own.yaml", "--out", "third").code == 0
    assert yaml.safe_load(Path("third/config.yaml").read_text())["options"]["label_smoothing"] == 0.1


def test_resuming_takes_the_options_of_the_run(cli):
    cli("train", "classify", *QUICK, "--lr", 0.01, "--out", "run")
    result = cli("train", "classify", "--resume", "--out", "run", "--epochs", 2)
    assert result.code == 0
    assert "going on in run after step 20 of 40" in result.err
    history = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in history] == [1, 2]
    assert yaml.safe_load(Path("run/config.yaml").read_text())["plan"]["epochs"] == 2, "what was asked for last"


def test_what_the_doctor_noticed_is_said_at_once(cli):
    fill(Path("images"), {"cat": 30, "dog": 30})
    shutil.copy("images/cat/cat000.jpg", "images/dog/dog999.jpg")
    result = cli("train", "classify", "--data", "images", "--model", "mlp", "--epochs", 1, "--size", 8)
    assert result.code == 0
    noticed = [line for line in result.err.splitlines() if line.startswith("noticed: ")]
    assert any("cat000.jpg" in line and "dog999.jpg" in line for line in noticed)


def test_the_reader_of_the_output_may_leave():
    result = subprocess.run(
        f"{sys.executable} -m pendio list models | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert result.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_how_to_go_on(tmp_path, number):
    command = [*PENDIO, "train", "classify", "--data", "digits", "--epochs", "500", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "metrics.jsonl").is_file() or not (tmp_path / "run" / "metrics.jsonl").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        f"pendio: interrupted: saved; go on with: pendio train classify --resume --out {tmp_path / 'run'}"
    )


# Mistakes


def png_header(width, height):
    """A PNG that claims a size and brings no pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    start_ = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start_ + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "classify", "--lr", "0"], "--lr must be greater than 0, got 0"),
        (["train", "classify", "--lr", "-0.1"], "--lr must be greater than 0, got -0.1"),
        (["train", "classify", "--lr", "nan"], "--lr must be greater than 0, got nan"),
        (["train", "classify", "--batch", "5000"], "--batch 5000 is larger than the 1259 training examples"),
        (["train", "classify", "--batch", "0"], "--batch must be greater than 0, got 0"),
        (["train", "classify", "--model", "resnt"], "unknown model 'resnt': did you mean 'resnet'?"),
        (["train", "classify", "--data", "digts"], "did you mean 'digits'?"),
        (["train", "classify", "--augment", "flp"], "did you mean 'flip'?"),
        (["train", "classify", "--optimizer", "adamm"], "adamw"),
        (["train", "classify", "--lerning-rate", "1"], "lerning-rate"),
        (["train", "classify", "--epoch", "3"], "--epochs"),
        (["train", "clasify"], "classify"),
        (["trian"], "train"),
        (["train", "classify", "--epochs", "many"], "epochs"),
        (["train", "classify", "--config", "no.yaml"], "config 'no.yaml' cannot be read: No such file"),
        (["train", "classify", "--accelerator", "cuda"], "this machine has no CUDA device"),
        (["train", "classify", "--freeze"], "'cnn' starts from random weights"),
        (["train", "classify", "--data", "moons", "--model", "cnn"], "use --model mlp"),
        (["evaluate"], "give one run folder or more"),
        (["evaluate", "nothing"], "there is no run folder 'nothing'"),
        (["predict", "nothing", "x.png"], "there is no run folder and no network 'nothing'"),
        (["predict", "cnn", "x.png"], "is a form without weights; train it first"),
        (["predict", "efficientnet-lite0"], "give one input or more"),
        (["predict", "efficientnet-lite0", "x.png"], "neither a file or folder, nor an embedded photo"),
        (["predict", "efficientnet-lite0", "coffee", "--top", "0"], "--top must be at least 1"),
        (["summary", "vgg16"], "unknown model 'vgg16'"),
        (["summary", "cnn", "--input", "3x32"], "--input must be C,H,W"),
        (["summary", "torchvision:resnet18", "--input", "5,32,32"], "cannot take an input of shape (5, 32, 32)"),
        (["export", "efficientnet-lite0", "--to", "onxx"], "onnx"),
        (["export", "efficientnet-lite0", "--to", "onnx", "--out", "no/model.onnx"], "there is no folder 'no'"),
        (["report", "nothing"], "there is no run folder 'nothing'"),
    ],
)
def test_a_wrong_word_costs_one_line(cli, arguments, message):
    if "--accelerator" in arguments and torch.cuda.is_available():
        pytest.skip("this machine has what the test asks to miss")
    assert message in mistake(cli(*arguments))
    assert list(Path().iterdir()) == [], "nothing may be left behind"


def no_images(folder):
    folder.mkdir()


def one_class(folder):
    fill(folder, {"cat": 8})


def loose_images(folder):
    folder.mkdir()
    picture(1).save(folder / "cat.jpg")


def corrupt_jpeg(folder):
    fill(folder, {"cat": 8, "dog": 8})
    content = (folder / "cat" / "cat003.jpg").read_bytes()
    (folder / "cat" / "cat003.jpg").write_bytes(content[: len(content) // 2])


def bomb(folder):
    fill(folder, {"cat": 8, "dog": 8})
    (folder / "dog" / "huge.png").write_bytes(png_header(60_000, 60_000))


def no_image_at_all(folder):
    fill(folder, {"cat": 8, "dog": 8})
    (folder / "dog" / "fake.jpg").write_text("not a picture")


def no_train(folder):
    fill(folder / "val", {"cat": 8, "dog": 8})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_images, "has no images in subfolders (looked for .jpg"),
        (one_class, "has one class only, 'cat'; a classifier needs two subfolders or labels"),
        (loose_images, "its 1 images lie outside of class subfolders"),
        (corrupt_jpeg, "1 of 16 images in 'images' cannot be read, more than 1 %; repair or remove them"),
        (bomb, "huge.png' claims"),
        (no_image_at_all, "fake.jpg' is not an image"),
        (no_train, "has val/ but no train/"),
    ],
)
def test_a_bad_folder_costs_one_line(cli, spoil, message):
    spoil(Path("images"))
    assert message in mistake(cli("train", "classify", "--data", "images", "--model", "mlp", "--epochs", 1))
    assert not Path("runs").exists()


def test_a_bomb_is_refused_by_prediction_too(cli):
    Path("huge.png").write_bytes(png_header(60_000, 60_000))
    assert "huge.png' claims" in mistake(cli("predict", "efficientnet-lite0", "huge.png"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\nimages/cat/cat001.jpg,cat\nimages/missing.jpg,dog\n", "line 3: there is no image"),
        ("path,label\nimages/cat/cat001.jpg,\n", "line 2: the label is empty"),
        ("path,label,split\nimages/cat/cat001.jpg,cat,tset\n", "line 2: unknown split 'tset'"),
        ("", "has no rows below its header"),
    ],
)
def test_a_bad_list_costs_one_line(cli, text, message):
    fill(Path("images"), {"cat": 8, "dog": 8})
    Path("labels.csv").write_text(text)
    assert message in mistake(cli("train", "classify", "--data", "labels.csv"))


NEEDED_BY = {
    "config.yaml": ("train", "evaluate", "predict", "report", "export"),
    "state.pt": ("train",),
    "metrics.jsonl": ("train", "report"),
    "best.safetensors": ("evaluate", "predict", "report", "export"),
}


@pytest.mark.parametrize("name", NEEDED_BY)
@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_a_damaged_run_costs_one_line(cli, digits_run, name, how):
    commands = {
        "train": ["classify", "--resume", "--out", "run", "--data", "digits", "--model", "cnn", "--epochs", 4],
        "evaluate": ["run"],
        "predict": ["run", "coffee"],
        "report": ["run"],
        "export": ["run", "--to", "safetensors", "--out", "out.safetensors"],
    }
    for command in NEEDED_BY[name]:
        shutil.rmtree("run", ignore_errors=True)
        file = Path(shutil.copytree(digits_run.folder, "run")) / name
        if how == "missing":
            file.unlink()
        else:
            # A torn last line of the metrics is what a kill leaves; damage in the middle is another matter.
            content = file.read_bytes()
            file.write_bytes(content[:50] + b"\n" if name == "metrics.jsonl" else content[: len(content) // 3])
        assert "run" in mistake(cli(command, *commands[command])), command


def test_a_malicious_pickle_is_refused(cli, malicious):
    path, mark = malicious
    text = mistake(cli("train", "classify", *QUICK, "--weights", path))
    assert "which could run code, or is damaged: it was not loaded; ask for it as .safetensors" in text
    assert not mark.exists()


def limit_files():
    """As a full disk, or a quota: no file may grow beyond 60 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_a_full_disk_costs_one_line(tmp_path):
    command = ("train", "classify", *QUICK, "--out", tmp_path / "run")
    result = start(*command, preexec_fn=limit_files)
    assert result.returncode == 2
    assert "the disk is full; free some space and go on with --resume" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_disk_that_fills_up_while_training_loses_nothing(tmp_path, cli):
    cli("train", "classify", *QUICK, "--out", tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    command = ("train", "classify", "--resume", "--out", tmp_path / "run", "--epochs", 2)
    result = start(*command, preexec_fn=limit_files)
    assert result.returncode == 2
    assert "the disk is full" in result.stderr.splitlines()[-1]
    for name in ("weights.safetensors", "best.safetensors", "state.pt"):
        assert (tmp_path / "run" / name).read_bytes() == before[name], name
    assert cli("train", "classify", "--resume", "--out", tmp_path / "run", "--epochs", 2).code == 0


def test_no_permission_costs_one_line(cli, tmp_path):
    if os.geteuid() == 0:
        # Root may write nearly anywhere, but not into the kernel's own tree.
        place = Path("/sys/pendio")
        if not place.parent.is_dir():
            pytest.skip("no place here that root may not write")
    else:
        place = tmp_path / "closed" / "run"
        place.parent.mkdir()
        place.parent.chmod(0o500)
    text = mistake(cli("train", "classify", *QUICK, "--out", place))
    assert "no permission to write there; choose another folder with --out" in text


def test_a_taken_folder_is_left_alone(cli):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    for command in (["train", "classify", *QUICK, "--out", "mine"], ["tour", "--out", "mine"]):
        assert "exists" in mistake(cli(*command))
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


def test_a_folder_that_is_no_run_is_not_resumed(cli):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years")
    assert "'mine' is no run folder" in mistake(cli("train", "classify", *QUICK, "--resume", "--out", "mine"))


def test_images_are_read_the_way_a_person_sees_them_by_prediction(cli):
    """The same photograph in every mode that files come in must be the same thing to the network."""
    pixels = photo("coffee").permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels)
    alpha = image.convert("RGBA")
    turned = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save("plain.png")
    alpha.save("alpha.png")
    image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save("palette.png")
    image.convert("CMYK").save("cmyk.jpg", quality=95)
    turned.save("turned.jpg", quality=95, exif=exif)
    image.save("animated.webp", save_all=True, append_images=[Image.new("RGB", image.size)], lossless=True)
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save("sixteen.png")
    image.convert("L").save("grey.png")
    names = ["plain.png", "alpha.png", "palette.png", "cmyk.jpg", "turned.jpg", "animated.webp"]
    answers = json.loads(cli("predict", "efficientnet-lite0", *names, "--json").out)
    assert {answer["class"] for answer in answers} == {"espresso"}
    for answer in answers:
        assert answer["probability"] == pytest.approx(answers[0]["probability"], abs=0.05), answer["input"]
    sixteen, eight = json.loads(cli("predict", "efficientnet-lite0", "sixteen.png", "grey.png", "--json").out)
    assert sixteen["top"] == eight["top"]
