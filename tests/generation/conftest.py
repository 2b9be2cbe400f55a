import pytest

from pendio.generation.autoencoder.options import AutoencodeOptions
from pendio.generation.autoencoder.recipe import train_autoencoder
from pendio.generation.vae.options import VaeOptions
from pendio.generation.vae.recipe import train_vae


@pytest.fixture(scope="session")
def compressed_run(tmp_path_factory):
    """Digits through sixteen numbers, learned in seconds."""
    out = tmp_path_factory.mktemp("session") / "compressed"
    options = {
        "data": "digits",
        "size": 8,
        "latent": 16,
        "width": 8,
        "epochs": 20,
        "lr": 4e-3,
        "batch": 32,
        "out": str(out),
    }
    return train_autoencoder(AutoencodeOptions.of(options), progress=False)


@pytest.fixture(scope="session")
def narrow_vae_run(tmp_path_factory):
    """Digits through a dense VAE of eight numbers."""
    out = tmp_path_factory.mktemp("session") / "narrow"
    options = {"data": "digits", "size": 8, "latent": 8, "width": 8, "epochs": 15, "lr": 5e-3, "out": str(out)}
    return train_vae(VaeOptions.of({**options, "model": "dense"}), progress=False)
