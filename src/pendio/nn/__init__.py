"""Layers and blocks that ``torch.nn`` lacks, one family a file."""
