"""Networks that answer for each pixel."""
