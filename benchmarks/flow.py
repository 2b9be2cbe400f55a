"""Flows against zuko, in turns in one process; run as ``python benchmarks/flow.py``.

zuko is not part of pendio's environment: ``pip install zuko``. Without it, sampling is raced against a plainly written MAF
that makes a full pass for each feature, with the same weights, so that both must give the same samples.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pendio.generation.flow.autoregressive import Autoregressive
from pendio.generation.flow.models import vector_flow
from pendio.generation.flow.task import standard_normal
from pendio.generation.flow.transforms import Chain

_FEATURES, _LAYERS, _WIDTH, _BATCH, _ROUNDS = 32, 5, 128, 256, 7


def _race(name: str, ours: Callable[[], object], theirs: Callable[[], object], peer: str) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_ROUNDS + 1):
        for run, taken in zip((ours, theirs), times, strict=True):
            began = time.perf_counter()
            run()
            if number:
                taken.append(time.perf_counter() - began)
    fast, slow = (statistics.median(taken) for taken in times)
    print(f"{name:24} pendio {fast * 1e3:8.2f} ms   {peer} {slow * 1e3:8.2f} ms   {slow / fast:5.2f} times as fast")


@torch.no_grad()
def _plain(flow: Chain, z: Tensor) -> Tensor:
    """The inverse of a flow by a full pass for each feature."""
    for transform in reversed(flow.transforms):
        if isinstance(transform, Autoregressive):
            x = torch.zeros_like(z)
            for feature in range(z.shape[1]):
                x[:, feature] = transform.scalar.inverse(z, transform.parameters_of(x))[:, feature]
            z = x
        else:
            z = transform.inverse(z)
    return z


def _step(parameters: list[Tensor], loss: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(parameters, 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def _against_zuko() -> None:
    import zuko

    hidden = [_WIDTH, _WIDTH]
    peers = {
        "maf": zuko.flows.MAF(_FEATURES, transforms=_LAYERS, hidden_features=hidden),
        "nsf-ar": zuko.flows.NSF(_FEATURES, bins=8, transforms=_LAYERS, hidden_features=hidden),
        "realnvp": zuko.flows.RealNVP(_FEATURES, transforms=_LAYERS, hidden_features=hidden),
    }
    x = torch.randn(_BATCH, _FEATURES)
    for model, peer in peers.items():
        flow = vector_flow(model, _FEATURES, _LAYERS, _WIDTH)

        def density(flow: Chain = flow) -> Tensor:
            z, log_det = flow(x)
            return standard_normal(z) + log_det

        def nll(density: Callable[[], Tensor] = density) -> Tensor:
            return -density().mean()

        _race(f"{model} training step", _step(list(flow.parameters()), nll),
              _step(list(peer.parameters()), lambda peer=peer: -peer().log_prob(x).mean()), "zuko")  # fmt: skip
        with torch.no_grad():
            _race(f"{model} log_prob", density, lambda peer=peer: peer().log_prob(x), "zuko")
            _race(f"{model} sample", lambda flow=flow: flow.inverse(torch.randn_like(x)),
                  lambda peer=peer: peer().sample((_BATCH,)), "zuko")  # fmt: skip


def main() -> None:
    """Print who is how fast."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    flow = vector_flow("maf", _FEATURES, _LAYERS, _WIDTH).eval()
    for parameter in flow.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    z = torch.randn(_BATCH, _FEATURES)
    apart = float((flow.inverse(z).detach() - _plain(flow, z)).abs().max())
    print(f"samples of both ways differ by {apart:.1e} at most")
    _race("maf sample", lambda: flow.inverse(z), lambda: _plain(flow, z), "full passes")
    if importlib.util.find_spec("zuko") is None:
        print("zuko is not installed: pip install zuko, to race against it")
        return
    _against_zuko()


if __name__ == "__main__":
    main()
