"""Sampling images by diffusion: pendio's U-Net and sampler against diffusers' UNet2DModel and DDIM scheduler.

Both have the same layout (widths, residual blocks, attention at the lowest resolution) and make 8 images of 3×32×32 in 20
deterministic steps from random weights; parameters must agree within 2 %. Before the race pendio's sampler runs on the
peer's own network, and must end where the peer's loop does: so steps and schedule are the same work. Racers alternate in
one process; the medians count. pendio lays kernels out once for each call of its sampler, and that time is counted.

diffusers is installed by hand, for it is no part of pendio's environment:

    pip install --no-deps diffusers huggingface-hub
    python benchmarks/diffusion.py

Without it, ``--plain`` races a loop written out in plain PyTorch: the same network as it stands, contiguous memory, the
embedding computed in every step.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pendio.generation.diffusion import samplers
from pendio.generation.diffusion.denoising import NetworkDenoiser
from pendio.generation.diffusion.schedules import Level, Schedule
from pendio.generation.diffusion.unet import DenoisingUNet

WIDTHS, DEPTH, STEPS, SHAPE, LEVELS = (64, 128, 128), 2, 20, (3, 32, 32), 1000


def by_pendio(network: DenoisingUNet, path: list[Level], precision: str) -> Callable[[Tensor], Tensor]:
    def sample(noise: Tensor) -> Tensor:
        denoiser = NetworkDenoiser(network, "noise", path, precision=precision, ready=noise)  # type: ignore[arg-type]
        return samplers.run("deterministic", denoiser, noise, path)

    return sample


def written_out(network: DenoisingUNet, path: list[Level], precision: str) -> Callable[[Tensor], Tensor]:
    """The loop as tutorials have it."""
    network = network.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    dtype = next(network.parameters()).dtype
    network.conditioning.rates = network.conditioning.rates.to(dtype)

    def sample(noise: Tensor) -> Tensor:
        values = noise
        for here, there in itertools.pairwise(path):
            vectors = network.conditioning(torch.full((len(values),), here.angle, dtype=dtype))
            found = network(values.to(dtype), vectors).float()
            image = (values - here.noise * found) / here.signal
            values = there.signal * image + there.noise * found
        return values

    return sample


def by_diffusers(precision: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    try:
        from diffusers import DDIMScheduler, UNet2DModel
    except ImportError:
        raise SystemExit(
            "diffusers is not installed: pip install --no-deps diffusers huggingface-hub; or give --plain"
        ) from None
    down = (*["DownBlock2D"] * (len(WIDTHS) - 1), "AttnDownBlock2D")
    up = ("AttnUpBlock2D", *["UpBlock2D"] * (len(WIDTHS) - 1))
    network = UNet2DModel(
        sample_size=SHAPE[1], in_channels=3, out_channels=3, layers_per_block=DEPTH, block_out_channels=WIDTHS,
        down_block_types=down, up_block_types=up, attention_head_dim=32, norm_num_groups=8,
    ).eval()  # fmt: skip
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    network = network.to(dtype)
    scheduler = DDIMScheduler(LEVELS, clip_sample=False, set_alpha_to_one=True, timestep_spacing="trailing")
    scheduler.set_timesteps(STEPS)

    def sample(noise: Tensor) -> Tensor:
        values = noise
        for step in scheduler.timesteps:
            found = network(values.to(dtype), step).sample.float()
            values = scheduler.step(found, step, values).prev_sample
        return values

    return network, sample


def agreement(network: nn.Module, peer: Callable[[Tensor], Tensor], noise: Tensor) -> float:
    """How far pendio's sampler, with the peer's network, ends from the peer's loop, as a share of the values' size."""
    schedule = Schedule.named("linear", LEVELS)
    numbers = [round(LEVELS * left / STEPS) for left in range(STEPS, 0, -1)]
    steps = {schedule[number]: number - 1 for number in numbers}

    def denoise(values: Tensor, level: Level) -> Tensor:
        found = network(values, torch.tensor(steps[level])).sample
        return (values - level.noise * found) / level.signal

    expected = peer(noise)
    made = samplers.run("deterministic", denoise, noise, schedule.path(numbers))
    return float((made - expected).norm() / expected.norm())


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--precisions", nargs="+", choices=["float32", "bf16"], default=["float32", "bf16"])
    parser.add_argument("--plain", action="store_true", help="race a loop in plain PyTorch instead of diffusers")
    options = parser.parse_args()
    torch.manual_seed(0)
    path = Schedule.named("linear", LEVELS).path(options.steps if options.plain else STEPS)
    noise = torch.randn(options.batch, *SHAPE)
    ours = DenoisingUNet(3, WIDTHS, DEPTH).eval()
    peer = "plain" if options.plain else "diffusers"
    racers: dict[tuple[str, str], Callable[[Tensor], Tensor]] = {}
    for precision in options.precisions:
        racers["pendio", precision] = by_pendio(ours, path, precision)
        if options.plain:
            copy = DenoisingUNet(3, WIDTHS, DEPTH).eval()
            copy.load_state_dict(ours.state_dict())
            racers[peer, precision] = written_out(copy, path, precision)
            continue
        network, racers[peer, precision] = by_diffusers(precision)
        if abs(size(network) / size(ours) - 1) > 0.02:
            raise SystemExit(
                f"the racers are not equal: pendio {size(ours):,} and diffusers {size(network):,} parameters"
            )
        if precision == "float32":
            print(
                f"pendio's sampler on diffusers' network ends {agreement(network, racers[peer, precision], noise):.1e} apart"
            )
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {size(ours):,} parameters; "
          f"{options.batch}×3×32×32, {len(path) - 1} steps")  # fmt: skip
    ends = {racer: sample(noise) for racer, sample in racers.items()}
    if options.plain:
        apart = {precision: float((ends["pendio", precision] - ends["plain", "float32"]).norm()
                                  / ends["plain", "float32"].norm())
                 for precision in options.precisions if ("plain", "float32") in ends}  # fmt: skip
        print(
            "pendio ends apart from plain float32 by", ", ".join(f"{gap:.1e} ({name})" for name, gap in apart.items())
        )
    seconds: dict[tuple[str, str], list[float]] = {racer: [] for racer in racers}
    for _ in range(options.rounds):
        for racer, sample in racers.items():
            began = time.perf_counter()
            sample(noise)
            seconds[racer].append(time.perf_counter() - began)
    medians = {racer: statistics.median(values) for racer, values in seconds.items()}
    print("| racer | precision | seconds |")
    print("| --- | --- | --- |")
    for (name, precision), median in medians.items():
        print(f"| {name} | {precision} | {median:.3f} |")
    for precision in options.precisions:
        ratio = medians["pendio", precision] / medians[peer, precision]
        print(f"pendio {precision}/{peer} {precision}: {ratio:.2f}")


if __name__ == "__main__":
    main()
