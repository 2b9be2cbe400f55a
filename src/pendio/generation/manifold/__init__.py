"""The manifold that data lies on or near."""
