"""Environments: opened by their names, checked, and played many at once."""
