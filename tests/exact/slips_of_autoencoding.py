"""Slips of the pen in autoencoders, and the row that must notice each."""


def inputs_are_lost_on_the_way(patch):
    from pendio.generation.autoencoder import task

    patch.setattr(task, "corrupt", lambda examples, *_: examples.flip(1))


def only_the_first_feature_counts(patch):
    from pendio.generation.autoencoder import task

    patch.setattr(task, "_error", lambda values, examples: (values - examples).square()[:, 0])


def the_new_example_is_forgotten(patch):
    from pendio.generation.autoencoder import anomaly

    patch.setattr(
        anomaly, "conformal_threshold",
        lambda scores, share: float(scores.sort().values[int(len(scores) * (1 - share)) - 1]),
    )  # fmt: skip


SABOTAGE = {
    inputs_are_lost_on_the_way: "linear-autoencoder",
    only_the_first_feature_counts: "linear-autoencoder",
    the_new_example_is_forgotten: "conformal-alarms",
}
