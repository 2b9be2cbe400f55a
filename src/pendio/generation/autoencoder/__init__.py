"""Autoencoders: compressing, taking noise away, and finding what does not belong."""
