"""Models that others trained, read from the folders in which they publish them."""
