import pytest
import torch
from PIL import Image

import pendio
from pendio.classification.models import pretrained
from pendio.classification.prediction import Prediction, predict
from pendio.data.embedded import PHOTOS, photo
from pendio.data.images import ImageError
from pendio.errors import InputError
from pendio.nn.network import Network


@pytest.fixture(scope="module")
def lite0():
    return pretrained("efficientnet-lite0")


@pytest.fixture
def coffee(tmp_path):
    path = tmp_path / "coffee.png"
    Image.fromarray(photo("coffee").permute(1, 2, 0).numpy()).save(path)
    return path


def test_efficientnet_sees_what_its_authors_published(lite0, coffee):
    (answer,) = predict(lite0, [str(coffee)])
    assert answer.classes[0] == "espresso"
    assert answer.probabilities[0] == pytest.approx(0.94, abs=0.005)
    (cat,) = predict(lite0, ["chelsea.png"], top=3)
    assert cat.classes == ("Egyptian cat", "tiger cat", "tabby")
    assert cat.probabilities == pytest.approx((0.385, 0.33, 0.16), abs=0.006)


def test_batches_change_nothing(lite0):
    together = list(predict(lite0, ["photos"], batch=5))
    assert [answer.input for answer in together] == list(PHOTOS)
    for answer in together[::4]:
        (alone,) = predict(lite0, [answer.input])
        assert alone.classes == answer.classes
        assert alone.probabilities == pytest.approx(answer.probabilities, rel=1e-3)


def test_probabilities_fall_and_at_most_all_are_named(lite0):
    (answer,) = predict(lite0, ["coffee"], top=2000)
    assert len(answer.classes) == 1000
    assert sum(answer.probabilities) == pytest.approx(1, rel=1e-4)
    assert list(answer.probabilities) == sorted(answer.probabilities, reverse=True)
    assert answer.to_dict()["top"][1] == {"class": answer.classes[1], "probability": answer.probabilities[1]}


def test_of_a_folder_each_image_is_named_and_a_bad_one_keeps_its_place(lite0, coffee):
    (coffee.parent / "damaged.jpg").write_bytes(b"\xff\xd8\xff and no more")
    (coffee.parent / "notes.txt").write_text("no image")
    answers = list(predict(lite0, [str(coffee.parent)]))
    assert {type(answer) for answer in answers} == {Prediction, ImageError}
    assert next(str(answer) for answer in answers if isinstance(answer, ImageError)).count("damaged.jpg") == 1


def test_what_was_named_itself_must_be_readable(lite0, tmp_path):
    (tmp_path / "damaged.jpg").write_bytes(b"\xff\xd8\xff and no more")
    (tmp_path / "empty").mkdir()
    for given, message in (
        (tmp_path / "damaged.jpg", "damaged"),
        (tmp_path / "empty", "has no images"),
        ("cofee.jpg", "neither a file or folder, nor an embedded photo"),
    ):
        with pytest.raises(InputError, match=message):
            list(predict(lite0, [str(given)]))


def test_grey_networks_take_colour_pictures(digits_run, coffee):
    task = pendio.load(digits_run.folder)
    (answer,) = predict(task.network, [str(coffee)])
    (embedded,) = predict(task.network, ["coffee"])
    assert answer.classes == embedded.classes
    assert answer.probabilities == pytest.approx(embedded.probabilities, abs=0.02)


def test_tables_are_predicted_row_by_row(tmp_path):
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    module = torch.nn.Linear(2, 2, bias=False)
    module.weight = torch.nn.Parameter(weight)
    network = Network(module, (2,), (0.0, 0.0), (1.0, 1.0), ("left", "right"))
    (tmp_path / "table.csv").write_text("a,b\n3,0\n0,2\n")
    left, right = predict(network, [str(tmp_path / "table.csv")])
    assert (left.classes[0], right.classes[0]) == ("left", "right")
    assert left.probabilities[0] == pytest.approx(torch.sigmoid(torch.tensor(3.0)).item())
    assert left.input.endswith("table.csv:2")
    for content, message in (("a,b\n1,x\n", "line 2: not all values are numbers"), ("a\n1\n", "has 1 columns; this")):
        (tmp_path / "table.csv").write_text(content)
        with pytest.raises(InputError, match=message):
            list(predict(network, [str(tmp_path / "table.csv")]))
    with pytest.raises(InputError, match="there is no CSV file"):
        list(predict(network, ["nothing.csv"]))
