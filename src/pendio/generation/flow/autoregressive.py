"""Masked autoregressive transforms, inverted at the price of one pass instead of one for each feature."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pendio.generation.flow.scalars import Scalar
from pendio.generation.flow.transforms import Transform

__all__ = ["Autoregressive", "MaskedLinear"]


class MaskedLinear(nn.Linear):
    """A dense layer some of whose weights are always zero.

    Args:
        mask: ``(out, in)``, true where there is a connection.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask, persistent=False)

    def masked(self) -> Tensor:
        """The weights ``(out, in)``."""
        return self.weight * self.mask

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, in)`` → ``(N, out)``."""
        return F.linear(inputs, self.masked(), self.bias)


class Autoregressive(Transform):
    """z_d = f(x_d; network(x_1 … x_{d−1}, context)): MAF (Papamakarios, Pavlakou and Murray, 2017) with the masks of MADE.

    A hidden unit of degree m sees x_1 … x_m, and the parameters of x_d see units of degree d − 1 and less. Units stand in
    the order of their degrees, so that to invert, each feature found adds only the units of its own degree: every weight
    is used once, where a full pass for each feature would use it D times.

    Args:
        features: D.
        scalar: f, of single numbers.
        width: units of each of two hidden layers.
        context: size of the context, 0 for none.
    """

    def __init__(self, features: int, scalar: Scalar, width: int, context: int = 0) -> None:
        super().__init__()
        self.features, self.scalar = features, scalar
        inputs, hidden = torch.arange(1, features + 1), torch.arange(width) * features // width
        outputs = torch.arange(features).repeat_interleave(scalar.count)
        self.first = MaskedLinear(hidden[:, None] >= inputs)
        self.second = MaskedLinear(hidden[:, None] >= hidden)
        self.last = MaskedLinear(outputs[:, None] >= hidden)
        self.context = nn.Linear(context, width, bias=False) if context else None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        counts = torch.bincount(hidden, minlength=features)
        self.ends: list[int] = counts.cumsum(0).tolist()

    def parameters_of(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Parameters ``(N, D, count)`` of all features of ``(N, D)`` at once."""
        hidden = self.first(x)
        if self.context is not None and context is not None:
            hidden = hidden + self.context(context)
        parameters: Tensor = self.last(self.second(hidden.relu()).relu())
        return parameters.view(-1, self.features, self.scalar.count)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See :class:`~pendio.generation.flow.transforms.Transform`."""
        z, log_slopes = self.scalar.forward(x, self.parameters_of(x, context))
        return z, log_slopes.sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """See :class:`~pendio.generation.flow.transforms.Transform`; without gradients."""
        # Hundreds of small operations: what autograd would keep of each costs as much as the operation.
        with torch.inference_mode():
            x = self._found(z, context)
        return x.T.clone(memory_format=torch.contiguous_format)

    def _found(self, z: Tensor, context: Tensor | None) -> Tensor:
        """x ``(D, N)``: memory is held feature by feature, so that what is known so far is one block."""
        first, second, last = self.first.masked(), self.second.masked(), self.last.masked()
        one, two = (layer.bias[:, None].repeat(1, len(z)) for layer in (self.first, self.second))
        if self.context is not None and context is not None:
            one += self.context(context).T
        three = self.last.bias[:, None].repeat(1, len(z))
        x, codes, count = z.new_empty(z.shape[::-1]), z.T, self.scalar.count
        begin = 0
        for feature, end in enumerate(self.ends):
            if end > begin:
                one[begin:end].addmm_(first[begin:end, :feature], x[:feature]).relu_()
                two[begin:end].addmm_(second[begin:end, :end], one[:end]).relu_()
                begin = end
            rows = slice(feature * count, (feature + 1) * count)
            values = three[rows].addmm_(last[rows, :end], two[:end])
            x[feature] = self.scalar.inverse(codes[feature], values.T)
        return x
