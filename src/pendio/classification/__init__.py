"""Telling classes apart: networks, the task, its metrics and its recipe."""
