import shutil

import pytest
import torch

from pendio.data.text.tokenizers import train_tokenizer
from pendio.errors import InputError
from pendio.nn.transformer import Form, Transformer
from pendio.pictures.attention import draw_attention, draw_heads
from pendio.pictures.gates import Units, draw_units
from pendio.pictures.listening import draw_listening, draw_listening_numbers
from pendio.sequences.language.task import Language
from pendio.sequences.looking.dependence import next_token
from pendio.sequences.looking.look import look
from pendio.sequences.looking.states import hidden_states, ordered_units
from pendio.sequences.models.language_model import LanguageModel
from pendio.sequences.tagging.listening import gradient_times_input, listen
from pendio.sequences.tagging.prediction import open_sequences
from pendio.sequences.tagging.recipe import load_tagger, run_data
from pendio.sequences.translation.recipe import load_translator

from ..tagging.conftest import train as train_tagger
from .conftest import make_language


def files(folder):
    return {path.name.removesuffix(".png"): path.read_bytes() for path in folder.iterdir()}


def hadamard(size):
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def crafted():
    """A Transformer whose head 0 looks at the token before, and whose head 1 looks at the first."""
    tokenizer = train_tokenizer("characters", ["abcdefgh"])
    form = Form(width=16, heads=2, layers=1, length=8, key_width=16)
    body = Transformer(form, causal=True)
    task = Language(LanguageModel(tokenizer.size, body, 16), tokenizer).eval().requires_grad_(False)
    # Rows of mean 0 and variance 1, at right angles: normalisation leaves them as they are.
    places = hadamard(16)[1:9]
    body.positions.table.copy_(places)
    task.model.embedding.weight.zero_()
    before = places[[0, 0, 1, 2, 3, 4, 5, 6]].T @ places
    first = places[[0] * 8].T @ places
    project = body.layers[0].attention.project
    project.weight.copy_(torch.cat([before, first, torch.eye(16), torch.eye(16), torch.zeros(16, 16)]))
    return task


def test_attention_is_where_the_weights_put_it(tmp_path):
    found = look(crafted(), "hgfed", out=tmp_path)
    weights = torch.zeros(2, 5, 5)
    weights[0, range(5), [0, 0, 1, 2, 3]] = 1
    weights[1, :, 0] = 1
    names = list("hgfed")
    assert [path.stem for path in found.files] == ["attention-layer-0", "attention-layer-0-mean"]
    seen = files(tmp_path)
    assert seen["attention-layer-0"] == draw_heads(weights, names, names)
    assert seen["attention-layer-0-mean"] == draw_attention(weights.mean(0), names, names, "layer 0, mean over heads")
    for head, number in ((0, 0), (-1, 1)):
        look(crafted(), "hgfed", head=head, out=tmp_path / "one")
        assert files(tmp_path / "one")[f"attention-layer-0-head-{number}"] == draw_attention(
            weights[number], names, names, f"layer 0, head {number}"
        )


@pytest.mark.parametrize("layer", [0, 1, None])
def test_attention_is_that_of_the_layer_in_the_running_model(tmp_path, layer):
    task = make_language("transformer")
    number = 1 if layer is None else layer
    read = []
    attention = task.model.body.layers[number].attention
    hook = attention.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    tokens = torch.from_numpy(task.tokenizer.encode("fade\nbad"))
    task.predict(tokens[None])
    hook.remove()
    weights = attention.weights(read[0], causal=True).detach()[0]
    look(task, "fade\nbad", layer=layer, head=1, out=tmp_path)
    names = [task.tokenizer.names[token] for token in tokens.tolist()]
    title = f"layer {number}, head 1"
    assert files(tmp_path) == {f"attention-layer-{number}-head-1": draw_attention(weights[1], names, names, title)}


def test_gates_are_those_of_the_lstm_itself(tmp_path):
    task = make_language("lstm", layers=1)
    tokens = torch.from_numpy(task.tokenizer.encode("fadebad"))
    lstm = task.model.body.network
    values = (task.model.embedding(tokens) * 8**0.5).detach()
    with torch.no_grad():
        cells = torch.cat([lstm(values[None, : step + 1])[1][1][0] for step in range(7)])
        hidden = lstm(values[None])[0][0]
        before = torch.cat([torch.zeros(1, 8), hidden[:-1]])
        gates = values @ lstm.weight_ih_l0.T + lstm.bias_ih_l0 + before @ lstm.weight_hh_l0.T + lstm.bias_hh_l0
    let_in, forget, candidate, output = gates.chunk(4, 1)
    rows = {"forget": forget.sigmoid(), "input": let_in.sigmoid(), "candidate": candidate.tanh(),
            "output": output.sigmoid(), "cell": cells}  # fmt: skip
    order = ordered_units(cells, 32)
    maps = [Units(name, rows[name][:, order], name in ("candidate", "cell")) for name in rows]
    found = look(task, "fadebad", out=tmp_path)
    assert files(tmp_path) == {"gates-layer-0": draw_units(maps, list("fadebad"))}
    assert found.pictures[0].caption.startswith("Gates and cell of all 8 units of layer 0")
    assert found.answer == task.tokenizer.names[int(task.predict(tokens[None])[0, -1].argmax())]


@pytest.mark.parametrize(("model", "layer", "kind"), [("rnn", 0, None), ("rnn", None, None), ("lstm", 1, "hidden")])
def test_hidden_states_are_drawn_over_time(tmp_path, model, layer, kind):
    task = make_language(model)
    number = 1 if layer is None else layer
    tokens = torch.from_numpy(task.tokenizer.encode("cab"))
    values = task.model.embedding(tokens[None]) * 8**0.5
    hidden = hidden_states(task.model.body, values, number)[0]
    look(task, "cab", layer=layer, kind=kind, out=tmp_path)
    drawn = draw_units([Units("hidden", hidden[:, ordered_units(hidden, 32)], True)], list("cab"))
    assert files(tmp_path) == {f"hidden-layer-{number}": drawn}


@pytest.mark.parametrize(
    ("model", "kind"), [("tcn", None), ("window", None), ("transformer", "inputs"), ("lstm", "inputs")]
)
def test_the_others_show_on_what_the_next_token_depends(tmp_path, model, kind):
    task = make_language(model)
    found = look(task, "fade", kind=kind, out=tmp_path)
    gradient = next_token(task.model, torch.from_numpy(task.tokenizer.encode("fade"))).gradient
    title = f"gradient × input, for '{found.answer}' to come next"
    assert files(tmp_path) == {"inputs": draw_listening(list("fade"), {title: gradient})}


def test_a_translator_shows_where_it_looks_in_the_source(tmp_path, translator_run):
    task = load_translator(translator_run)
    found = look(translator_run.folder, " abc ", out=tmp_path)
    assert found.answer == task.predict(["abc"])[0]
    assert [path.stem for path in found.files] == ["cross-attention-layer-1", "cross-attention-layer-1-mean"]
    assert [path.stem for path in look(task, "abc", layer=0, head=1, out=tmp_path / "one").files] == [
        "cross-attention-layer-0-head-1", "encoder-attention-layer-0-head-1",
    ]  # fmt: skip
    read = []
    attention = task.network.encoder.layers[0].attention
    attention.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    tokens = task.encode(["abc"]).row(0)[None]
    task.network.encode(tokens)
    weights = attention.weights(read[0]).detach()[0, 1]
    picture = draw_attention(weights, list("abc"), list("abc"), "layer 0 of the encoder, head 1")
    assert files(tmp_path / "one")["encoder-attention-layer-0-head-1"] == picture
    written = task.network.greedy(tokens, task.longest)
    before = torch.cat([torch.ones(1, 1, dtype=torch.long), written[:, :-1]], 1)
    weights = task.network.attention(tokens, before, 0)[0, 1]
    rows = [task.target.names[token] for token in written[0].tolist()]
    picture = draw_attention(weights, rows, list("abc"), "layer 0 of the decoder, head 1")
    assert files(tmp_path / "one")["cross-attention-layer-0-head-1"] == picture


def test_a_tagger_shows_what_it_listened_to_and_where_it_attends(tmp_path, tagger_run):
    sequences = open_sequences(tagger_run)
    tokens = sequences.tokens("oak!")
    heard = listen(sequences.task.tagger, tokens)
    found = look(tagger_run, "oak!", out=tmp_path)
    measures = {"gradient × input": heard.gradient, "occlusion: what is lost without it": heard.occlusion}
    seen = files(tmp_path)
    assert seen["inputs"] == draw_listening(list("oak!"), measures)
    assert found.answer == sequences.task.classes[heard.output]
    read = []
    reader = sequences.task.tagger.encoder
    attention = reader.body.layers[1].attention
    attention.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    sequences.task.predict(tokens[None])
    weights = attention.weights(read[0]).detach()[0]
    assert seen["attention-layer-1"] == draw_heads(weights, list("oak!"), list("oak!"))
    assert set(seen) == {"inputs", "attention-layer-1", "attention-layer-1-mean"}
    assert [path.stem for path in look(sequences, "oak!", head=0, out=tmp_path).files] == ["attention-layer-1-head-0"]


def test_of_numbers_a_held_out_sequence_is_named(tmp_path):
    run = train_tagger(tmp_path / "run", data="adding", length=6, steps=1, batch=1000)
    values = run_data(run).test.take(torch.tensor([7])).inputs[0]
    task = load_tagger(run)
    heard = listen(task.tagger, values, 0)
    measures = {"gradient × input": heard.gradient, "occlusion: what is lost without it": heard.occlusion}
    found = look(run.folder, "7", out=tmp_path / "seen")
    assert files(tmp_path / "seen") == {"inputs": draw_listening_numbers(values, measures)}
    assert float(found.answer) == pytest.approx(float(task.predict(values[None])[0]), rel=1e-3)
    look(run.folder, "7", kind="gates", out=tmp_path / "gates")
    first = task.tagger.encoder.first(values[None])
    gates = task.tagger.encoder.body.gates(first)
    order = ordered_units(gates.cell[0], 32)
    names = ("forget", "input", "candidate", "output", "cell")
    maps = [Units(name, getattr(gates, name)[0][:, order], name in ("candidate", "cell")) for name in names]
    assert files(tmp_path / "gates") == {"gates-layer-0": draw_units(maps, [str(step) for step in range(6)])}
    for text in ("2000", "-1", "seven", "²"):
        with pytest.raises(InputError, match=r"say which of the held-out sequences, 0 to 1999"):
            look(run.folder, text, out=tmp_path)


def test_each_of_several_answers_has_a_row(tmp_path):
    run = train_tagger(tmp_path / "run", data="copying", length=2, steps=1, batch=1000)
    task, sequences = load_tagger(run), open_sequences(run)
    text = "abcdefgha.????????"[: run_data(run).length]
    tokens = sequences.tokens(text)
    found = look(run, text, out=tmp_path / "seen")
    numbers = task.predict(tokens[None])[0].argmax(1).tolist()
    sizes = torch.stack([gradient_times_input(task.tagger, tokens, n, step).abs() for step, n in enumerate(numbers)])
    rows = [task.classes[number] for number in numbers]
    columns = [sequences.tokenizer.names[token] for token in tokens.tolist()]
    picture = draw_attention(sizes / sizes.sum(1, keepdim=True), rows, columns, "gradient × input")
    assert files(tmp_path / "seen") == {"inputs": picture}
    assert found.answer == " ".join(rows)


def test_what_was_seen_can_be_told(tmp_path, language_run):
    found = look(str(language_run.folder), "abcd", out=tmp_path / "deep" / "folder")
    said = found.to_dict()
    assert said["input"] == "abcd"
    assert said["pictures"] == [{"file": str(found.files[0]), "caption": found.pictures[0].caption}]
    assert found.files[0].read_bytes().startswith(b"\x89PNG")


def test_nothing_is_left_in_the_model(tmp_path):
    task = make_language("lstm").train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    look(task, "fade", out=tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert all(weight.grad is None for weight in task.parameters())


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("transformer", {"layer": 2}, "--layer 2: there is no such layer; there is 0 to 1"),
        ("transformer", {"layer": -3}, "--layer -3: there is no such layer; there is 0 to 1"),
        ("transformer", {"head": 2}, "--head 2: there is no such head; there is 0 to 1"),
        ("lstm", {"layer": 2}, "--layer 2: there is no such layer; there is 0 to 1"),
        ("rnn", {"layer": 5}, "--layer 5: there is no such layer; there is 0 to 1"),
        ("lstm", {"head": 0}, "--head 0: an lstm has no attention; what there is to see: its gates, its hidden states "
                              "and the inputs it depends on"),
        ("rnn", {"kind": "gates"}, "an rnn has no gates; what there is to see: its hidden states and the inputs"),
        ("tcn", {"layer": 0}, "--layer 0: a tcn has neither attention nor states; what there is to see: the inputs it"),
        ("window", {"kind": "attention"}, "a window has no attention; what there is to see: the inputs it depends on"),
        ("transformer", {"kind": "gates"}, "a Transformer has no gates; what there is to see: its attention and the inputs"),
        ("lstm", {"kind": "gate"}, "there is no 'gate' to look at: attention, gates, hidden, inputs; did you mean 'gates'"),
        ("lstm", {"kind": "inputs", "layer": 0}, "--layer and --head are of no use for inputs"),
    ],
)  # fmt: skip
def test_what_is_not_there_costs_a_line(tmp_path, model, options, message):
    with pytest.raises(InputError) as raised:
        look(make_language(model), "fade", **options, out=tmp_path / "out")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "text", "message"),
    [
        ("lstm", "", "an empty text has nothing to look at"),
        ("lstm", "fadéx", "the text 'fadéx' has 'é', 'x', which this model never saw"),
        ("lstm", "fade\ud800", "the text is no valid Unicode"),
        (
            "transformer",
            "fadebadcafe" * 2,
            "the text 'fadebadcafefadebadcafe' has 22 tokens, and this model sees 16 at once",
        ),
        ("lstm", "a" * 1025, "a sequence of 1025 steps is too long to be drawn; at most 1024"),
    ],
)
def test_texts_that_cannot_be_read_cost_a_line(tmp_path, model, text, message):
    with pytest.raises(InputError) as raised:
        look(make_language(model), text, out=tmp_path / "out")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_translators_and_taggers_refuse_as_clearly(tmp_path, translator_run, tagger_run):
    for run, options, message in (
        (translator_run, {"text": "abc", "kind": "gates"}, "a translator has no gates to look at"),
        (translator_run, {"text": "abc", "layer": 2}, "--layer 2: there is no such layer; there is 0 to 1"),
        (translator_run, {"text": "abc", "head": 2}, "--head 2: there is no such head; there is 0 to 1"),
        (translator_run, {"text": "xyz"}, "text 1, 'xyz', has 'x', 'y', 'z', which the translator never saw"),
        (translator_run, {"text": " "}, "text 1 is empty"),
        (translator_run, {"text": "a" * 13}, "text 1, 'aaaaaaaaaaaaa', has 13 tokens, and the translator reads 12"),
        (tagger_run, {"text": ""}, "an empty text has no answer"),
        (tagger_run, {"text": "ΩΩ"}, "nothing of the text 'ΩΩ' stood in the training texts"),
        (tagger_run, {"text": "oak!", "kind": "hidden"}, "a Transformer has no hidden"),
    ):
        with pytest.raises(InputError) as raised:
            look(run, **options, out=tmp_path / "out")
        assert str(raised.value).startswith(message)
        assert "\n" not in str(raised.value)


def test_runs_and_folders_that_do_not_serve_cost_a_line(tmp_path, language_run):
    with pytest.raises(InputError, match="there is no run folder"):
        look(tmp_path / "none", "a", out=tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(language_run.folder, copy)
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("recipe: language", "recipe: classify"))
    with pytest.raises(InputError, match="is of 'train classify' and reads no sequences"):
        look(copy, "a", out=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        look(language_run, "a", out=tmp_path / "file")
