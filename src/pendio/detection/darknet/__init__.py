"""The darknet format: networks from .cfg files, weights from .weights files, and back."""
