"""Sequences: language models from a fixed window to the Transformer, translation, and classification."""
