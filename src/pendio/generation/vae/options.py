"""The options of ``pendio train vae``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from cyclopts import Parameter

from pendio.descent.plan import Plan
from pendio.errors import InputError
from pendio.generation.options import ExampleOptions
from pendio.options import check_types, flag

__all__ = ["VaeOptions", "VaePlan"]

_INFINITE = float("inf")


@dataclass(frozen=True, kw_only=True)
class VaePlan(Plan):
    """How to walk down, with what suits variational autoencoders: no decay, for the prior holds the codes together."""

    epochs: int = 40
    """How many times to go through the training examples."""

    weight_decay: float = 0.0
    """Decay of weights, never of biases and normalisation: decoupled in `adamw`, added to the gradient elsewhere."""


@dataclass(frozen=True, kw_only=True)
class VaeOptions(ExampleOptions):
    """What to learn the distribution of, and how."""

    model: Literal["auto", "conv", "dense"] = "auto"
    """Networks of convolutions or of dense layers; by default conv for images and dense for tables."""

    latent: int = 16
    """Dimensions of a code."""

    width: int = 16
    """Channels of the first maps of conv; dense layers have sixteen times as many units."""

    likelihood: Literal["gaussian", "bernoulli", "learned"] = "learned"
    """What is said of an example given its code: gaussian with --sigma, learned to learn σ too, bernoulli for pixels."""

    sigma: float | None = None
    """Standard deviation of gaussian, in units of a pixel's range or a feature's deviation; by default 0.1."""

    balance: bool = False
    """Take learned σ from the running reconstruction error instead of by gradient (Asperti and Trentin, 2020)."""

    beta: float = 1.0
    """Weight of the KL divergence; at 1 the loss bounds the likelihood; more is smoother, less is sharper."""

    anneal: float = 0.0
    """Epochs in which the weight of the KL divergence rises from 0 to --beta."""

    free_bits: float = 0.0
    """Nats of KL divergence that each dimension has for free, so that it is not given up."""

    second_stage: Literal["none", "mixture"] = "mixture"
    """What samples are drawn from: mixture is one of Gaussians, fitted to the codes after training; none is the prior."""

    components: int | None = None
    """Gaussians of the mixture; by default one for every 50 training examples, but at most 20."""

    plan: Annotated[VaePlan, Parameter(name="*")] = field(default_factory=VaePlan)

    def __post_init__(self) -> None:
        check_types(self)
        for name, least, most in (("latent", 1, 4096), ("width", 1, 512), ("components", 1, 1000), ("size", 8, 256)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{flag(name)} must be {least} to {most}, got {value}")
        if self.size is not None and self.size % 4:
            raise InputError(f"--size must be a multiple of 4, got {self.size}")
        for name in ("beta", "anneal", "free_bits"):
            if not 0 <= getattr(self, name) < _INFINITE:
                raise InputError(f"{flag(name)} must not be negative, got {getattr(self, name):g}")
        if self.components is not None and self.second_stage == "none":
            raise InputError("--components is for --second-stage mixture, and it is none")
        if self.sigma is not None and self.likelihood != "gaussian":
            raise InputError(f"--sigma is for --likelihood gaussian, and it is {self.likelihood}")
        if self.sigma is not None and not 1e-3 <= self.sigma < _INFINITE:
            raise InputError(f"--sigma must be 0.001 or more, got {self.sigma:g}")
        if self.balance and self.likelihood != "learned":
            raise InputError(f"--balance is for --likelihood learned, and it is {self.likelihood}")
