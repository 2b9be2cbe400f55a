import pytest
import torch
from torch import nn

from pendio.errors import InputError
from pendio.nn.transformer import Form, Transformer
from pendio.sequences.decoding.fast import Int8Linear, lightened
from pendio.sequences.decoding.sampling import Sampling, continued
from pendio.sequences.models.language_model import LanguageModel
from tests.sequences.decoding.conftest import build


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 40), (5, 40), (2, 3, 40)])
def test_it_is_the_product_of_what_was_rounded(shape, bias):
    torch.manual_seed(0)
    weight, values = torch.randn(30, 40), torch.randn(shape)
    added = torch.randn(30) if bias else None
    scale_w = weight.double().abs().amax(1) / 127
    scale_x = values.double().abs().amax(-1, keepdim=True) / 127
    product = (values.double() / scale_x).round() @ (weight.double() / scale_w[:, None]).round().T
    expected = product * scale_x * scale_w + (0 if added is None else added)
    found = Int8Linear(weight, added)(values)
    assert found.shape == (*shape[:-1], 30)
    # A value that lies half way between two numbers may be rounded to either in float32; there is none here.
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_it_is_near_the_dense_layer():
    torch.manual_seed(0)
    layer, values = nn.Linear(512, 300), torch.randn(64, 512)
    expected = layer(values).detach()
    found = Int8Linear(layer.weight, layer.bias)(values)
    assert float((found - expected).std() / expected.std()) < 0.015


def test_rows_and_outputs_have_scales_of_their_own():
    weight = torch.eye(3) * torch.tensor([1e-3, 1.0, 1e3])
    values = torch.tensor([[1e-2, 0, 0], [0, 50.0, 0], [0, 0, 1e4], [0, 0, 0]])
    torch.testing.assert_close(Int8Linear(weight)(values), values @ weight.T)


def test_nothing_weighs_nothing():
    layer = Int8Linear(torch.zeros(2, 4), torch.tensor([1.0, -2.0]))
    assert layer(torch.randn(3, 4)).tolist() == [[1, -2]] * 3
    assert Int8Linear(torch.randn(2, 4), torch.ones(2))(torch.zeros(1, 4)).tolist() == [[1, 1]]


@pytest.fixture(scope="module")
def large():
    torch.manual_seed(0)
    form = Form(width=256, heads=4, layers=2, length=64)
    return LanguageModel(1000, Transformer(form, causal=True), 256, scale=16.0).eval()


def test_a_light_model_says_nearly_the_same(large):
    light = lightened(large)
    tokens = torch.randint(0, 1000, (4, 32))
    with torch.inference_mode():
        exact, found = large(tokens)[0], light(tokens)[0]
    assert 0 < float((found - exact).std() / exact.std()) < 0.05
    assert float((found.argmax(2) == exact.argmax(2)).float().mean()) > 0.8


def test_it_is_a_copy_and_smaller(large):
    before = {name: weight.clone() for name, weight in large.state_dict().items()}
    light = lightened(large)
    assert all(torch.equal(weight, before[name]) for name, weight in large.state_dict().items())
    assert large.head is None
    kinds = {name: type(module) for name, module in light.named_modules()}
    assert (
        kinds["body.layers.1.attention.project"] is kinds["body.layers.0.feedforward.up"] is kinds["head"] is Int8Linear
    )
    assert kinds["body.layers.0.attention.join"] is nn.Linear  # 65,536 weights are too few
    with torch.no_grad():
        for parameter in light.parameters():
            parameter.zero_()
    assert all(torch.equal(weight, before[name]) for name, weight in large.state_dict().items())
    bytes_of = [sum(w.numel() * w.element_size() for w in one.body.state_dict().values()) for one in (large, light)]
    assert bytes_of[1] < 0.4 * bytes_of[0]


def test_text_is_the_same_alone_and_beside_others(large):
    light = lightened(large)
    prompts = [torch.tensor([1, 2, 3]), torch.tensor([900, 5, 44])]
    greedy = Sampling(temperature=0)
    together = torch.stack(list(continued(light, prompts, greedy, 12)), 1)
    alone = [torch.stack(list(continued(light, [prompt], greedy, 12)), 1)[0].tolist() for prompt in prompts]
    assert together.tolist() == alone


def test_a_head_of_its_own_is_made_light_too():
    torch.manual_seed(0)
    model = LanguageModel(9000, build("lstm").body, 12).eval()
    light = lightened(model)
    assert isinstance(light.head, Int8Linear)
    tokens = torch.randint(0, 9000, (2, 6))
    with torch.no_grad():
        exact, found = model(tokens)[0], light(tokens)[0]
    assert 0 < float((found - exact).std() / exact.std()) < 0.02


def test_a_model_too_small_to_gain_is_refused():
    with pytest.raises(InputError, match="--weights int8: this model has no dense layer of 131,072 weights"):
        lightened(build("transformer"))


def test_it_is_for_a_cpu(large):
    with torch.device("meta"):
        elsewhere = LanguageModel(8, Transformer(Form(width=8, heads=1, layers=1, length=8), causal=True), 8)
    with pytest.raises(InputError, match="--weights int8 is for a CPU, and the model is on meta"):
        lightened(elsewhere)
