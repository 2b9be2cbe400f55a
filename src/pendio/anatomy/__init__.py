"""Counting without running: parameters, operations, output shapes."""
