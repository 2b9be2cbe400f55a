"""Why a translator became what it is: rules over a run and its data."""

import torch
from torch import Tensor

from pendio.data.text.pairs import PairData
from pendio.data.text.tokens import Tokenizer
from pendio.runs.diagnosis import Diagnosis, Evidence
from pendio.runs.run import Run
from pendio.sequences.diagnosis import diagnose_training, learnt_tokens, padding_waste, rare_tokens, unknown_tokens
from pendio.sequences.translation.recipe import run_options

__all__ = ["diagnose_translator"]


def diagnose_translator(run: Run, data: PairData) -> list[Diagnosis]:
    """Why a run went as it did, the likeliest cause first; empty where nothing went wrong.

    Args:
        run: its folder.
        data: what it was trained on.

    Raises:
        InputError: the run's files are damaged.
    """
    batch = run_options(run).plan.batch_size(len(data.train))
    (learnt, spoken), (read, written) = (
        [column.tokens for column in part.sequences] for part in (data.train, data.val)
    )
    rules = (
        _rare(data.source, learnt) or _rare(data.target, spoken),
        _unknown(data.source, read) or _unknown(data.target, written),
        padding_waste(data.train.waste(batch), batch),
    )
    return diagnose_training(Evidence(run.history(), run.layers())) + [one for one in rules if one is not None]


def _rare(tokenizer: Tokenizer, tokens: Tensor) -> Diagnosis | None:
    counts = torch.bincount(tokens.long(), minlength=tokenizer.size)
    return rare_tokens(tokenizer.kind, counts, learnt_tokens(tokenizer))


def _unknown(tokenizer: Tokenizer, tokens: Tensor) -> Diagnosis | None:
    unknown = 0 if tokenizer.unknown is None else int((tokens == tokenizer.unknown).sum())
    return unknown_tokens(tokenizer.kind, unknown, len(tokens))
