"""Slips of the pen in darknet's files and networks, and the row that must notice each."""

import dataclasses


def scales_come_before_shifts(patch):
    from pendio.detection.darknet import weights

    original = weights._parts

    def parts(network, layers=None):
        for number, name, tensor in original(network, layers):
            normal = network.layers[number][1] if len(network.layers[number]) > 1 else None
            swapped = {"bias": "weight", "scale": "bias"}
            yield number, name, getattr(normal, swapped[name]) if normal and name in swapped else tensor

    patch.setattr(weights, "_parts", parts)


def the_kernel_comes_first(patch):
    from pendio.detection.darknet import weights

    original = weights._parts

    def parts(network, layers=None):
        return sorted(original(network, layers), key=lambda part: (part[0], part[1] != "kernel"))

    patch.setattr(weights, "_parts", parts)


def the_header_has_always_twenty_bytes(patch):
    from pendio.detection.darknet.weights import Header

    patch.setattr(Header, "layout", property(lambda self: "<iiiQ"))


def the_last_residual_block_is_lost(patch):
    from pendio.detection.darknet import catalogue

    original = catalogue._body
    patch.setattr(catalogue, "_body", lambda: original()[:-3])


def normalised_convolutions_keep_a_bias(patch):
    from torch import nn

    from pendio.detection.darknet import layers

    original = layers._convolution

    def convolution(layer, channels):
        out = original(layer, channels)
        if out[0].bias is None:
            out[0].bias = nn.Parameter(out[0].weight.new_zeros(layer.filters))
        return out

    patch.setattr(layers, "_convolution", convolution)


def the_head_forgets_objectness(patch):
    from pendio.detection.darknet import catalogue, layers

    original = catalogue._head

    def head(classes, anchors, scale, scales):
        last, yolo = original(classes, anchors, scale, scales)
        return [dataclasses.replace(last, filters=last.filters - 3), yolo]

    def after(layer, inputs, given=layers.shape_after):
        return inputs[0] if type(layer).__name__ == "Yolo" else given(layer, inputs)

    patch.setattr(catalogue, "_head", head)
    patch.setattr("pendio.detection.darknet.network.shape_after", after)
    patch.setattr("pendio.detection.darknet.network.DarknetNetwork._begin", lambda self, number: None)


def the_root_of_the_variance_is_forgotten(patch):
    from pendio.nn import fusion

    original = fusion.fuse_conv_bn_eval

    def fuse(convolution, normalization):
        out = original(convolution, normalization)
        out.weight.data.div_((normalization.running_var + normalization.eps).sqrt().view(-1, 1, 1, 1))
        return out

    patch.setattr(fusion, "fuse_conv_bn_eval", fuse)


def the_mean_is_added(patch):
    from pendio.nn import fusion

    original = fusion.fuse_conv_bn_eval

    def fuse(convolution, normalization):
        normalization.running_mean.neg_()
        return original(convolution, normalization)

    patch.setattr(fusion, "fuse_conv_bn_eval", fuse)


def nothing_is_folded(patch):
    from pendio.nn import fusion

    patch.setattr(fusion, "_pairs", lambda module, named: iter(()))


SABOTAGE = {
    scales_come_before_shifts: "darknet-weights",
    the_kernel_comes_first: "darknet-weights",
    the_header_has_always_twenty_bytes: "darknet-weights",
    the_last_residual_block_is_lost: "yolov3-parameters",
    normalised_convolutions_keep_a_bias: "yolov3-parameters",
    the_head_forgets_objectness: "yolov3-parameters",
    the_root_of_the_variance_is_forgotten: "fused",
    the_mean_is_added: "fused",
    nothing_is_folded: "fused",
}
