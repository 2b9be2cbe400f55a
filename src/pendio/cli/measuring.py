"""Data measured before anything is trained on it: how many dimensions it has."""

from typing import Literal

from pendio.cli.app import Json, app, print_json
from pendio.errors import InputError

__all__ = ["dimension"]


@app.command
def dimension(
    data: str = "digits",
    *,
    features: str = "pixels",
    size: int | None = None,
    target: str | None = None,
    split: Literal["train", "val", "test"] = "train",
    most: int = 5000,
    neighbors: int = 20,
    share: float = 0.95,
    json_: Json = False,
) -> None:
    """Estimate how many dimensions data has, or what a network makes of it: those of the manifold that it lies on.

    Parameters
    ----------
    data
        An embedded set, a folder of images, an .npz archive or a CSV table.
    features
        pixels for examples as they are; or a run of train classify, efficientnet-lite0, timm:NAME or torchvision:NAME, whose
        last layer is left out.
    size
        Side in pixels of the images.
    target
        The column of a CSV table that is a label and not a feature.
    split
        Which examples.
    most
        How many of them at most.
    neighbors
        Of local principal components: points of a neighbourhood.
    share
        Of local principal components: share of the variance that the dimensions carry.
    """
    import torch

    from pendio.generation.examples import open_examples
    from pendio.generation.manifold.dimension import dimension as estimate
    from pendio.generation.quality.features import open_features

    if most < 3:
        raise InputError(f"--most must be 3 or more, got {most}")
    opened = open_examples(data, size=size, target=target)
    part = opened.split(split)
    inputs = part.take(torch.arange(min(most, len(part)))).inputs
    found = estimate(open_features(features, opened)(inputs).flatten(1), neighbors=neighbors, share=share)
    if json_:
        print_json({"data": opened.name, "split": split, "features": features, **found.to_dict()})
        return
    print(f"{opened.name}, {features}: {found.points:,} points of {found.extrinsic:,} numbers")
    print(f"two nearest neighbours  {found.two_nn:.2f} ± {found.error:.2f} (fitted {found.two_nn_fit:.2f})")
    print(f"local components        {found.local_pca:.2f} carry {share:.0%} of {neighbors} neighbours' variance")
