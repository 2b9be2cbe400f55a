"""The names of the generative recipes."""

__all__ = ["GENERATORS"]

GENERATORS = ("autoencode", "vae", "gan", "flow", "diffuse")
"""Tasks that learn how data is distributed, or how to make more of it."""
