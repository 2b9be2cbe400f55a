"""Training a Transformer on text on a CPU: pendio against transformers and a plain script.

Two models of 256 bytes' vocabulary, context 256 and batches of 12: `small` (4 layers, 4 heads, width 128, as nanoGPT's
recipe for a CPU has it) and `large` (6 layers, 6 heads, width 384, as its recipe for a GPU), without dropout; and `dropout`,
the small one with the 0.2 of the latter. AdamW with decay 0.1, and gradients clipped to norm 1. The racers begin with the
same weights and see the same batches of these benchmarks' own source text, so that their losses must agree (with GPT-2's
activation nearly, with dropout about):

- `pendio`: `fit` as `pendio train language` calls it, with its checks for NaN and for signals, metrics and checkpoints; it
  evaluates once, in the end, which is part of its time.
- `transformers`: `GPT2LMHeadModel` with attention by `scaled_dot_product_attention`, fused AdamW, and a plain loop; its
  activation is GPT-2's, GELU with tanh, and costs it time. The others have the exact one, as pendio and nanoGPT do.
- `transformers/gelu`: the same with the exact one.
- `script`: the one-file style of nanoGPT: a class a layer, `scaled_dot_product_attention`, AdamW as it comes.

Neither of the others keeps an account or writes anything. All run in one process in alternating rounds; the medians of
rounds count, and ratios are medians of each round's ratio.

    pip install pendio transformers
    python benchmarks/train_lm.py
"""

import argparse
import importlib.metadata
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.data.text.tokenizers import train_tokenizer
from pendio.data.text.windows import TokenWindows, Windows
from pendio.descent.loop import fit
from pendio.nn.kinds import Activation
from pendio.nn.transformer import Form, Transformer
from pendio.sequences.language.options import LanguagePlan
from pendio.sequences.language.task import Language
from pendio.sequences.language.text import Text
from pendio.sequences.models.language_model import LanguageModel
from pendio.sequences.pretrained.gpt2 import save_gpt2

VOCABULARY, CONTEXT, BATCH, LR, DECAY, CLIP = 256, 256, 12, 1e-3, 0.1, 1.0


class Size(NamedTuple):
    layers: int
    heads: int
    width: int
    dropout: float = 0.0


SIZES = {"small": Size(4, 4, 128), "dropout": Size(4, 4, 128, 0.2), "large": Size(6, 6, 384)}

Trained = Callable[[Tensor], Tensor]
"""Logits ``(N, T, V)`` of tokens ``(N, T)``."""


def text() -> Text:
    files = sorted(Path(__file__).parent.glob("*.py"))
    tokens = torch.frombuffer(bytearray(b"".join(file.read_bytes() for file in files)), dtype=torch.uint8)
    held_out = 12 * CONTEXT
    return Text(
        TokenWindows(tokens[:-held_out], CONTEXT, carried=False),
        TokenWindows(tokens[-held_out:], CONTEXT, carried=False),
    )


def fresh(size: Size, activation: Activation = "gelu") -> LanguageModel:
    torch.manual_seed(0)
    form = Form(
        width=size.width, heads=size.heads, layers=size.layers, length=CONTEXT, activation=activation,
        dropout=size.dropout,
    )  # fmt: skip
    model = LanguageModel(VOCABULARY, Transformer(form, causal=True), size.width)
    nn.init.normal_(model.embedding.weight, std=0.02)
    return model


def batches(data: Text, steps: int) -> list[Windows]:
    """What `fit` reads in its first steps."""
    found: list[Windows] = []
    epoch = 0
    while len(found) < steps:
        found += data.train.batches(BATCH, seed=0, epoch=epoch)
        epoch += 1
    return found[:steps]


def by_pendio(size: Size, steps: int, data: Text) -> tuple[float, Trained]:
    task = Language(fresh(size), train_tokenizer("bytes", []))
    plan = LanguagePlan(
        steps=steps, epochs=1 + steps // data.train.steps(BATCH), batch=BATCH, lr=LR, weight_decay=DECAY, clip=CLIP,
        schedule="constant", warmup=0.0, dropout=size.dropout, accelerator="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        fit(task, data, plan, Path(folder) / "run", progress=False)
        return time.perf_counter() - began, task.predict


def optimizer_of(parameters: Iterable[nn.Parameter], fused: bool | None) -> torch.optim.Optimizer:
    every = list(parameters)
    groups = [
        {"params": [p for p in every if p.ndim > 1], "weight_decay": DECAY},
        {"params": [p for p in every if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=LR, fused=fused)


def looped(model: nn.Module, logits: Trained, optimizer: torch.optim.Optimizer, given: list[Windows]) -> float:
    model.train()
    began = time.perf_counter()
    for batch in given:
        loss = F.cross_entropy(logits(batch.inputs).view(-1, VOCABULARY), batch.targets.view(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    taken = time.perf_counter() - began
    model.eval()
    return taken


def by_transformers(
    size: Size, steps: int, data: Text, activation: Activation = "gelu-tanh"
) -> tuple[float, Trained]:  # fmt: skip
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        save_gpt2(fresh(size, activation), folder)
        model = transformers.GPT2LMHeadModel.from_pretrained(
            folder,
            attn_implementation="sdpa",
            attn_pdrop=size.dropout,
            embd_pdrop=size.dropout,
            resid_pdrop=size.dropout,
        )

    def logits(tokens: Tensor) -> Tensor:
        found: Tensor = model(tokens, use_cache=False).logits
        return found

    return looped(model, logits, optimizer_of(model.parameters(), True), batches(data, steps)), logits


class Layer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads, width = size.heads, size.width
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.attend(self.first(x)).split(width, dim=2)
        q, k, v = (part.view(rows, length, self.heads, width // self.heads).transpose(1, 2) for part in parts)
        kept = self.dropout.p if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=kept, is_causal=True)
        x = x + self.dropout(self.join(mixed.transpose(1, 2).contiguous().view(rows, length, width)))
        branch: Tensor = self.dropout(self.down(F.gelu(self.up(self.second(x)))))
        return x + branch


class Script(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embedding, self.places = nn.Embedding(VOCABULARY, size.width), nn.Embedding(CONTEXT, size.width)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, VOCABULARY, bias=False)
        self.head.weight = self.embedding.weight
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.dropout(self.embedding(tokens) + self.places(torch.arange(tokens.shape[1])))
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(self.norm(x))
        return logits


def by_script(size: Size, steps: int, data: Text) -> tuple[float, Trained]:
    model = Script(size)
    # The same weights under other names, in the same order.
    theirs, ours = dict(fresh(size).named_parameters()), dict(model.named_parameters())
    names = {
        "embedding.weight": "embedding.weight", "body.positions.table": "places.weight", "body.norm": "norm",
        "body.layers": "layers", "attention_norm": "first", "feedforward_norm": "second", "attention.project": "attend",
        "attention.join": "join", "feedforward.up": "up", "feedforward.down": "down",
    }  # fmt: skip
    with torch.no_grad():
        for name, weight in theirs.items():
            for one, other in names.items():
                name = name.replace(one, other)
            ours[name].copy_(weight)
    return looped(model, model, optimizer_of(model.parameters(), None), batches(data, steps)), model


RACERS: dict[str, Callable[[Size, int, Text], tuple[float, Trained]]] = {
    "pendio": by_pendio,
    "transformers": by_transformers,
    "transformers/gelu": partial(by_transformers, activation="gelu"),
    "script": by_script,
}


@torch.no_grad()
def held_out_loss(logits: Trained, data: Text) -> float:
    batch = next(data.val.batches(11))
    return float(F.cross_entropy(logits(batch.inputs).flatten(0, 1), batch.targets.flatten()))


def race(name: str, options: argparse.Namespace, data: Text) -> None:
    size = SIZES[name]
    seconds: dict[str, list[float]] = {racer: [] for racer in RACERS}
    losses: dict[str, float] = {}
    for run in RACERS.values():
        run(size, 2, data)  # imports and first calls are not timed
    for number in range(options.rounds):
        for racer, run in RACERS.items():
            taken, logits = run(size, options.steps, data)
            seconds[racer].append(taken)
            losses[racer] = held_out_loss(logits, data)
            print(f"round {number + 1} {name} {racer}: {taken:.2f} s, loss {losses[racer]:.4f}", file=sys.stderr)
    for racer in RACERS:
        speed = options.steps * BATCH * CONTEXT / statistics.median(seconds[racer])
        faster = statistics.median(a / b for a, b in zip(seconds[racer], seconds["pendio"], strict=True))
        print(f"| {name} | {racer} | {speed:,.0f} | {faster:.2f} × | {losses[racer]:.4f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each racer runs")
    parser.add_argument("--steps", type=int, default=40, help="of a run")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES), help="which models")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    print(f"{options.steps} steps of {BATCH} × {CONTEXT}, medians of {options.rounds} rounds, "
          f"{torch.get_num_threads()} threads; {versions}\n")  # fmt: skip
    print("| model | racer | tokens/s | pendio is faster | loss |\n| --- | --- | --- | --- | --- |")
    data = text()
    for name in options.sizes:
        race(name, options, data)


if __name__ == "__main__":
    main()
