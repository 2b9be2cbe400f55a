"""Variational autoencoders: a latent space with a density, and a decoder that makes examples of it."""
