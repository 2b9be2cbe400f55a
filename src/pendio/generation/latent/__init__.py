"""The latent space of any generative model: paths, directions, edits, maps to another model's space, and pictures."""
