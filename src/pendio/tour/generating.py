"""Networks that learn how data is distributed."""

import math
from pathlib import Path

from pendio.generation.latent.mapping import study_map
from pendio.generation.latent.pictures import draw_mapping
from pendio.recipes import opened, train
from pendio.runs.page import Picture, Section, Table
from pendio.runs.run import Run
from pendio.tour.stop import picture

__all__ = ["densities", "generating"]


def generating(out: Path) -> Section:
    """A variational autoencoder makes new digits, and an autoencoder takes noise away from them."""
    made = train("vae", data="digits", epochs=30, progress=False, out=str(out / "digits-vae"))
    clean = train(
        "autoencode", data="digits", corrupt="gaussian", epochs=30, progress=False, out=str(out / "digits-clean")
    )
    rows = [
        ("bound on the log-likelihood of an image", f"{_best(made)['val_elbo']:.1f} nats"),
        ("noisy images", f"{_best(clean)['val_corrupted_psnr']:.1f} dB"),
        ("the same without what the network takes for noise", f"{_best(clean)['val_restored_psnr']:.1f} dB"),
    ]
    return Section(
        "Make new ones",
        text="A variational autoencoder learns how digits are distributed: from codes drawn at random it makes digits that "
        "nobody wrote; in half a minute it only begins to. An autoencoder that was shown spoilt digits, and asked for whole "
        "ones, takes noise away.",
        code="pendio train vae --data digits --size 16\npendio sample tour/digits-vae -n 64\n"
        "pendio train diffuse --data digits --size 16 --conditional\n"
        "pendio train autoencode --data digits --corrupt gaussian",
        tables=[Table(("on held-out digits", ""), rows)],
        pictures=[
            picture(made, "second-stage", "Digits that nobody wrote."),
            picture(clean, "reconstructions", "Held-out digits, noise on them, and what the network makes of that."),
        ],
    )


def densities(out: Path) -> Section:
    """A flow tells how likely places are, a diffusion model makes points, and codes go from one space to another."""
    flow = train("flow", data="moons", epochs=40, progress=False, out=str(out / "moons-flow"))
    diffusion = train(
        "diffuse", data="moons", conditional=True, width=8, epochs=60, lr=4e-3, batch=128, progress=False,
        out=str(out / "moons-diffuse"),
    )  # fmt: skip
    made, clean = (Run.open(out / name) for name in ("digits-vae", "digits-clean"))
    (source, data), (target, _) = opened(made), opened(clean)
    mapped = study_map(source, target, data)
    error = mapped.errors[-1]
    rows = [
        ("bits a held-out point costs under the flow", f"{_best(flow)['val_nll'] / math.log(2):.2f}"),
        ("examples that the map of codes was fitted on", str(error.support)),
        ("error of digits by mapped codes, over that of the target's own", f"{error.ratio:.2f}"),
    ]
    return Section(
        "Densities, and spaces of codes",
        text="A flow says how likely every place is, and all of it adds up to one. Diffusion begins with noise and takes it "
        "away step by step. And what one network made of a digit says much to another that was trained apart from it: a "
        "linear map between both spaces of codes, fitted on few examples, keeps most of the digit.",
        code="pendio train flow --data moons\npendio train diffuse --data moons --conditional\n"
        "pendio latent map tour/digits-vae tour/digits-clean\npendio latent interpolate tour/digits-vae --at 0 --at 1",
        tables=[Table(("", ""), rows)],
        pictures=[
            picture(flow, "density", "What the flow learned of two moons, the data, and samples."),
            picture(diffusion, "trajectory", "From noise to moons."),
            Picture(draw_mapping(mapped), "Digits, and what is made of them: by the first network, by the second of mapped "
                    "codes, and by the second of its own."),
        ],
    )  # fmt: skip


def _best(run: Run) -> dict[str, float]:
    return [record for record in run.history() if record["best"]][-1]
