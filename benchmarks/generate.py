"""Writing text with a Transformer on a CPU: pendio against the `generate` of transformers, with the same weights.

A GPT-2 of 6 layers, 6 heads, width 384 and context 512 continues a prompt of 16 tokens by 256, each the likeliest, with
keys and values kept. The racers:

- `transformers`: `generate(do_sample=False, use_cache=True)` in inference mode, float32.
- `pendio`: what `pendio sample --temperature 0` runs, float32. Its tokens must be those of transformers.
- `pendio int8`: the same as `--weights int8` makes it. What that costs is told in nats a token.

The weights are those of pendio's own initialisation, trained before the race for some steps on this file's own bytes so
that the losses mean something; then saved as GPT-2 and read by transformers. All run in one process in alternating rounds;
the median of rounds counts, and the ratios are medians of each round's ratio.

    pip install pendio transformers
    python benchmarks/generate.py
"""

import argparse
import importlib.metadata
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pendio.nn.transformer import Form, Transformer
from pendio.sequences.decoding.fast import lightened
from pendio.sequences.decoding.sampling import Sampling, continued
from pendio.sequences.models.language_model import LanguageModel
from pendio.sequences.pretrained.gpt2 import save_gpt2

VOCABULARY, LAYERS, HEADS, WIDTH, CONTEXT, PROMPT = 256, 6, 6, 384, 512, 16

Racer = Callable[[Tensor, int], Tensor]
"""Continues prompts ``(N, T)`` by so many tokens: ``(N, T')``."""


def text() -> Tensor:
    """The bytes of the benchmarks, as tokens."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(file.read_bytes() for file in files)), dtype=torch.uint8).long()


def windows(tokens: Tensor, count: int, length: int) -> Tensor:
    return tokens.unfold(0, length, 1)[torch.randint(0, len(tokens) - length, (count,))]


def trained(steps: int, tokens: Tensor) -> LanguageModel:
    form = Form(width=WIDTH, heads=HEADS, layers=LAYERS, length=CONTEXT, activation="gelu-tanh")
    model = LanguageModel(VOCABULARY, Transformer(form, causal=True), WIDTH)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, windows(tokens, 8, 65)).backward()
        optimizer.step()
    return model.eval()


def loss(model: LanguageModel, rows: Tensor) -> Tensor:
    """Nats a token."""
    logits, _ = model(rows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())


def by_pendio(model: LanguageModel) -> Racer:
    greedy = Sampling(temperature=0)
    return lambda prompts, most: torch.stack(list(continued(model, list(prompts), greedy, most)), 1)


def by_transformers(model: LanguageModel) -> Racer:
    import transformers

    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as folder:
        save_gpt2(model, folder)
        theirs = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def race(prompts: Tensor, most: int) -> Tensor:
        written: Tensor = theirs.generate(
            prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=most, min_new_tokens=most, do_sample=False,
            use_cache=True, pad_token_id=0,
        )  # fmt: skip
        return written[:, prompts.shape[1] :]

    return race


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each racer runs")
    parser.add_argument("--tokens", type=int, default=256, help="new ones a text")
    parser.add_argument("--batch", type=int, default=1, help="texts at once")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch")
    parser.add_argument("--train", type=int, default=60, help="steps before the race")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tokens = text()
    model = trained(options.train, tokens)
    light = lightened(model)
    racers = {
        "transformers": by_transformers(model),
        "pendio": by_pendio(model),
        "pendio int8": by_pendio(light),
    }
    speeds: dict[str, list[float]] = {name: [] for name in racers}
    for race in racers.values():
        race(windows(tokens, options.batch, PROMPT), 4)  # first calls are not timed
    for number in range(options.rounds):
        prompts, written = windows(tokens, options.batch, PROMPT), {}
        for name, race in racers.items():
            began = time.perf_counter()
            written[name] = race(prompts, options.tokens)
            speeds[name].append(written[name].numel() / (time.perf_counter() - began))
            print(f"round {number + 1} {name}: {speeds[name][-1]:.0f} tokens/s", file=sys.stderr)
        assert torch.equal(written["transformers"], written["pendio"]), "the texts differ"
    rows = windows(tokens, 16, 257)
    with torch.inference_mode():
        losses = {"pendio": loss(model, rows), "pendio int8": loss(light, rows)}
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    print(f"{LAYERS} layers, {HEADS} heads, width {WIDTH}, context {CONTEXT}; {options.batch} × {options.tokens} tokens, "
          f"medians of {options.rounds} rounds, {torch.get_num_threads()} threads; {versions}\n")  # fmt: skip
    print("| racer | tokens/s | against transformers | loss, nats |\n| --- | --- | --- | --- |")
    for name, all_speeds in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(all_speeds, speeds["transformers"], strict=True))
        nats = f"{losses[name]:.4f}" if name in losses else f"{losses['pendio']:.4f}"
        print(f"| {name} | {statistics.median(all_speeds):.0f} | {ratio:.2f} × | {nats} |")


if __name__ == "__main__":
    main()
