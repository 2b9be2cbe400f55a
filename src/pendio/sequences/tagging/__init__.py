"""Sequences with an answer: a class for each, a number, or a class at each of the last steps."""
