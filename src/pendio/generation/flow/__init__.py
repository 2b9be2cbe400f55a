"""Normalising flows: invertible networks whose exact density is what they learn."""
