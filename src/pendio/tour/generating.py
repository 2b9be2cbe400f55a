"""Networks that learn how data is distributed."""

from pathlib import Path

from pendio.recipes import train
from pendio.runs.page import Section, Table
from pendio.runs.run import Run
from pendio.tour.stop import picture

__all__ = ["generating"]


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


def _best(run: Run) -> dict[str, float]:
    return [record for record in run.history() if record["best"]][-1]
