import pytest
import torch
from torch import nn

from pendio.classification.models import build, load_body, preprocessing, pretrained, stages
from pendio.errors import InputError
from pendio.runs.files import write_weights

CLASSES = ("cat", "dog", "owl")


def new(name, shape=(3, 64, 64), **options):
    return build(name, shape, [0.5] * shape[0], [0.25] * shape[0], CLASSES, pretrained=False, **options)


@pytest.fixture(scope="module")
def lite0():
    return pretrained("efficientnet-lite0")


@pytest.mark.parametrize(
    "name",
    [
        "timm:resnet18", "timm:vit_tiny_patch16_224", "timm:mobilenetv3_small_050", "timm:convnext_atto",
        "torchvision:resnet18", "torchvision:alexnet", "torchvision:squeezenet1_1", "torchvision:densenet121",
        "torchvision:googlenet", "torchvision:vit_b_32",
    ],
)  # fmt: skip
def test_heads_of_others_are_replaced(name):
    network = new(name).eval()
    with torch.inference_mode():
        logits = network(torch.randint(0, 256, (2, 3, 60, 80), dtype=torch.uint8))
    assert logits.shape == (2, 3)
    assert logits.isfinite().all()
    assert network.module.head.out_features == 3
    published = sum(p.numel() for p in network.module.body.parameters())
    assert published > network.module.head.weight.numel(), "the body must be there, the old head gone"
    outputs = {layer.out_features for layer in network.module.body.modules() if isinstance(layer, nn.Linear)}
    assert 1000 not in outputs


def test_efficientnet_knows_the_embedded_photographs(lite0):
    assert len(lite0.classes) == 1000
    assert sum(value.numel() for value in lite0.module.parameters()) == 4_652_008
    assert lite0.shape == (3, 224, 224)


def test_a_new_head_stands_on_the_same_published_body(lite0):
    network = build("efficientnet-lite0", (3, 64, 64), [0.1] * 3, [0.2] * 3, CLASSES)
    ours, theirs = network.module.body.state_dict(), lite0.module.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(network.mean, lite0.mean), "a pretrained network keeps its own normalisation"
    assert float(network.mean[0, 0, 0, 0]) == pytest.approx(127 / 255)
    assert float(network.std[0, 0, 0, 0]) == pytest.approx(128 / 255)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt", "unknown model 'resnt': did you mean 'resnet'?"),
        ("timm:resnet1800", "timm has no model 'resnet1800': did you mean 'resnet"),
        ("torchvision:resnet19", "torchvision has no classifier 'resnet19': did you mean 'resnet1"),
        ("keras:resnet", "unknown model 'keras:resnet'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, message):
    with pytest.raises(InputError) as error:
        new(name)
    assert message in str(error.value)


def test_numbers_are_not_for_networks_of_images():
    for name in ("cnn", "timm:resnet18"):
        with pytest.raises(InputError, match="takes images; this data has 4 numbers an example: use --model mlp"):
            new(name, (4,))


def test_weights_that_cannot_be_fetched_cost_one_clear_error(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no route to the hub\nand more")

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(InputError) as error:
        build("timm:resnet18", (3, 64, 64), [0.5] * 3, [0.25] * 3, CLASSES)
    assert "cannot create 'timm:resnet18' with its published weights: no route to the hub; give a file" in str(
        error.value
    )
    assert "--no-pretrained" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_body_starts_from_a_file_of_its_own_weights_or_of_a_whole_run(tmp_path, digits_run):
    source = new("cnn", (1, 8, 8))
    write_weights(tmp_path / "body.safetensors", source.module.body.state_dict())
    torch.save(source.module.body.state_dict(), tmp_path / "body.pt")
    for file in ("body.safetensors", "body.pt"):
        network = new("cnn", (1, 8, 8), weights=str(tmp_path / file))
        for name, value in network.module.body.state_dict().items():
            assert torch.equal(value, source.module.body.state_dict()[name])
    network = new("cnn", (1, 8, 8), weights=str(digits_run.folder / "best.safetensors"))
    trained = digits_run.weights()
    for name, value in network.module.body.state_dict().items():
        assert torch.equal(value, trained[f"network.module.body.{name}"])


def test_weights_of_another_network_are_refused(tmp_path):
    body = new("lenet", (1, 8, 8)).module.body
    write_weights(tmp_path / "lenet.safetensors", body.state_dict())
    with pytest.raises(InputError, match=r"lenet.safetensors' do not fit this model: Missing key"):
        load_body(new("cnn", (1, 8, 8)).module.body, tmp_path / "lenet.safetensors")


def test_a_pickle_posing_as_weights_is_not_run(malicious):
    path, mark = malicious
    with pytest.raises(InputError, match="could run code"):
        new("cnn", (1, 8, 8), weights=str(path))
    assert not mark.exists()


def test_stages_come_in_the_order_data_flows():
    body = new("timm:resnet18").module.body
    kinds = [type(stage).__name__ for stage in stages(body)]
    assert kinds == ["Conv2d", "BatchNorm2d", *["BasicBlock"] * 8]
    assert stages(body)[-1] is body.layer4[1]
    assert len(stages(new("torchvision:vgg11").module.body)) == 8 + 2, "convolutions and the first two units"


def test_preprocessing_is_what_was_published():
    form = preprocessing("torchvision:resnet18")
    assert (form.size, form.mean[0]) == (224, 0.485)
    assert form.crop == pytest.approx(224 / 256)
    vit = preprocessing("timm:vit_base_patch16_224")
    assert (vit.size, vit.mean, vit.crop) == (224, (0.5, 0.5, 0.5), 0.9)
