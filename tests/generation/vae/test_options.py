import subprocess
import sys

import pytest

from pendio.errors import InputError
from pendio.generation.vae.options import VaeOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "--latent must be 1 to 4096, got 0"),
        ({"latent": -3}, "--latent must be 1 to 4096, got -3"),
        ({"width": 0}, "--width must be 1 to 512, got 0"),
        ({"components": 0}, "--components must be 1 to 1000, got 0"),
        ({"components": 3, "second_stage": "none"}, "--components is for --second-stage mixture, and it is none"),
        ({"size": 4}, "--size must be 8 to 256, got 4"),
        ({"size": 18}, "--size must be a multiple of 4, got 18"),
        ({"beta": -1.0}, "--beta must not be negative, got -1"),
        ({"beta": float("nan")}, "--beta must not be negative, got nan"),
        ({"anneal": -2}, "--anneal must not be negative, got -2"),
        ({"free_bits": float("inf")}, "--free-bits must not be negative, got inf"),
        ({"sigma": 0.2}, "--sigma is for --likelihood gaussian, and it is learned"),
        ({"sigma": 0.0, "likelihood": "gaussian"}, "--sigma must be 0.001 or more, got 0"),
        ({"balance": True, "likelihood": "bernoulli"}, "--balance is for --likelihood learned, and it is bernoulli"),
        ({"likelihood": "laplace"}, "--likelihood must be one of gaussian, bernoulli, learned, got 'laplace'"),
        ({"second_stage": "flow"}, "--second-stage must be one of none, mixture, got 'flow'"),
        ({"latents": 2}, "unknown option 'latents': did you mean 'latent'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        VaeOptions.of(options)


def test_options_do_not_wait_for_torch():
    code = "import sys, pendio.generation.vae.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
