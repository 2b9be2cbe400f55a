"""Slips of the pen in normalising flows, and the row that must notice each."""

import torch


def the_slope_forgets_a_square(patch):
    from pendio.generation.flow.scalars import Spline

    original = Spline.forward

    def forward(self, x, parameters):
        z, log_slope = original(self, x, parameters)
        return z, log_slope / 2

    patch.setattr(Spline, "forward", forward)


def places_of_an_image_are_not_counted(patch):
    from pendio.generation.flow.transforms import InvertibleLinear

    original = InvertibleLinear.forward

    def forward(self, x, context=None):
        z, _ = original(self, x, context)
        return z, self.log_scale.sum().expand(len(x))

    patch.setattr(InvertibleLinear, "forward", forward)


def the_shift_is_undone_after_the_scale(patch):
    from pendio.generation.flow.scalars import Affine

    def inverse(self, z, parameters):
        shift, log_scale = self._parts(parameters)
        return z * (-log_scale).exp() - shift

    patch.setattr(Affine, "inverse", inverse)


def features_see_themselves(patch):
    from pendio.generation.flow import autoregressive

    original = autoregressive.MaskedLinear.__init__
    patch.setattr(
        autoregressive.MaskedLinear, "__init__", lambda self, mask: original(self, torch.ones_like(mask))
    )  # fmt: skip


def the_units_of_the_data_are_forgotten(patch):
    from pendio.generation.flow.task import Flow

    original = Flow.prepare
    patch.setattr(
        Flow, "prepare", lambda self, inputs, noise=0.5: (original(self, inputs, noise)[0], torch.zeros(len(inputs)))
    )
    patch.setattr("pendio.generation.flow.task._HALF_LOG_TWO_PI", 0.0)


def the_squeeze_of_pixels_is_not_counted(patch):
    from pendio.generation.flow.pixels import Pixels

    original = Pixels.to_line

    def to_line(self, y):
        x, log_det = original(self, y)
        return x, log_det + y[0].numel() * self.alpha

    patch.setattr(Pixels, "to_line", to_line)


SABOTAGE = {
    the_slope_forgets_a_square: "flow-log-determinants",
    places_of_an_image_are_not_counted: "flow-log-determinants",
    the_shift_is_undone_after_the_scale: "flow-inverse",
    features_see_themselves: "flow-triangular",
    the_units_of_the_data_are_forgotten: "flow-density",
    the_squeeze_of_pixels_is_not_counted: "flow-uniform",
}
