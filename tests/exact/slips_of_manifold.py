"""Slips of the pen in the dimension of data, and the row that must notice each."""


def distances_stay_squared(patch):
    from pendio.generation.manifold import dimension

    original = dimension.neighbor_distances
    patch.setattr(dimension, "neighbor_distances", lambda points, k: original(points, k) ** 2)


def the_third_neighbour_counts(patch):
    from pendio.generation.manifold import dimension

    original = dimension.neighbor_distances
    patch.setattr(dimension, "neighbor_distances", lambda points, k: original(points, k + 1)[:, [0, 2]])


def neighbourhoods_are_not_centred(patch):
    import torch

    from pendio.generation.manifold import dimension

    original = torch.linalg.svdvals
    patch.setattr(dimension.torch.linalg, "svdvals", lambda clouds: original(clouds + 1))


def the_root_is_left_out(patch):

    from pendio.generation.manifold import distance

    patch.setattr(distance.Tensor, "sqrt", lambda self: self)


SABOTAGE = {
    distances_stay_squared: "two-nn",
    the_third_neighbour_counts: "two-nn",
    neighbourhoods_are_not_centred: "local-pca",
    the_root_is_left_out: "manifold-distance",
}
