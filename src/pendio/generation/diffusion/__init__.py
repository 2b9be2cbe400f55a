"""Diffusion: a network learns to take noise away, and makes examples by taking it away from pure noise."""
