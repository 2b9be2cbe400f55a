"""Truths about autoencoders and their alarms."""

import torch
from torch import Tensor, nn

from pendio.exact.check import Check
from pendio.generation.autoencoder import anomaly
from pendio.generation.autoencoder.task import Autoencoder

__all__ = ["CHECKS"]


class _Batch:
    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs


def _rows() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    spreads = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.2])
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    rows: Tensor = (torch.randn(400, 5, generator=generator) * spreads) @ turn
    return rows


def _linear() -> tuple[float, float]:
    """Of two dimensions, after full-batch steps from random weights, against the discarded eigenvalues of the covariance."""
    rows = _rows() - _rows().mean(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, decoder = nn.Linear(5, 2, bias=False), nn.Linear(2, 5, bias=False)
        task = Autoencoder(encoder, decoder, 2, (5,), [0.0] * 5, [1.0] * 5)
        optimizer = torch.optim.LBFGS(
            task.parameters(), max_iter=200, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            optimizer.zero_grad()
            loss = task.loss(_Batch(rows))
            (loss.total / loss.weight).backward()
            return float(loss.total.detach() / loss.weight)

        optimizer.step(closure)
    left = torch.linalg.eigvalsh(rows.double().T @ rows.double() / len(rows))[:3]
    return float(task.strangeness(rows).mean()), float(left.sum() / 5)


def _alarms() -> tuple[float, float]:
    """Over all 19 places that a twentieth score can have among 19: how many lie above the threshold."""
    above = 0
    for place in range(20):
        others = torch.tensor([rank for rank in range(20) if rank != place])
        above += int(place > anomaly.conformal_threshold(others, 0.1))
    return above / 20, 0.1


CHECKS = (
    Check(
        "linear-autoencoder", "a linear autoencoder's least error is what principal components leave out", _linear, 1e-5
    ),
    Check("conformal-alarms", "of exchangeable scores exactly the promised share raises an alarm", _alarms),
)
