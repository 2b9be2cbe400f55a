"""Slips of the pen in what segments, and the row that must notice each."""

import torch
from torch import nn


def the_first_dense_layer_is_turned(patch):
    from pendio.segmentation.surgery import Surgery

    original = Surgery._replace

    def replace(self, node, kind, layer):
        if kind == "conv":
            layer.weight.data = layer.weight.data.flip(2, 3)
        original(self, node, kind, layer)

    patch.setattr(Surgery, "_replace", replace)
    patch.setattr("pendio.segmentation.convolutional._prove", lambda *parts: None)


def windows_do_not_overlap(patch):
    from pendio.segmentation import surgery

    original = nn.AvgPool2d.__init__
    patch.setattr(
        surgery.nn.AvgPool2d, "__init__", lambda self, sides, stride=None: original(self, sides, stride=sides)
    )  # fmt: skip


def places_are_summed(patch):
    from pendio.segmentation.surgery import Surgery

    original = Surgery._replace

    def replace(self, node, kind, layer):
        if kind == "conv" and self._left_out:
            layer.weight.data = layer.weight.data / 16
        original(self, node, kind, layer)

    patch.setattr(Surgery, "_replace", replace)
    patch.setattr("pendio.segmentation.convolutional._prove", lambda *parts: None)


def the_kernel_is_centred_on_a_pixel(patch):
    from pendio.segmentation.networks import fcn

    def kernel(factor):
        size = 2 * factor - factor % 2
        side = 1 - (torch.arange(size) - (size - 1) // 2).abs() / factor
        return side[:, None] * side

    patch.setattr(fcn, "bilinear_kernel", kernel)


def maps_fade_at_their_borders(patch):
    from pendio.segmentation.networks import fcn

    original = fcn.F.pad
    patch.setattr(fcn.F, "pad", lambda values, sides, mode="constant": original(values, sides))


def a_level_loses_a_pixel_less(patch):
    from pendio.segmentation.networks import unet

    original = unet.output_size
    patch.setattr(unet, "output_size", lambda size, depth=4: original(size, depth) + 2)


def valid_sizes_are_multiples(patch):
    from pendio.segmentation.networks import unet

    original = unet.valid_sizes
    patch.setattr(
        unet, "valid_sizes",
        lambda most, depth=4: range(2**depth * (original(most, depth).start // 2**depth + 1), most + 1, 2**depth),
    )  # fmt: skip


SABOTAGE = {
    the_first_dense_layer_is_turned: "fcn-native",
    windows_do_not_overlap: "fcn-native",
    places_are_summed: "fcn-places",
    the_kernel_is_centred_on_a_pixel: "bilinear-upsampling",
    maps_fade_at_their_borders: "bilinear-upsampling",
    a_level_loses_a_pixel_less: "unet-sizes",
    valid_sizes_are_multiples: "unet-sizes",
}
