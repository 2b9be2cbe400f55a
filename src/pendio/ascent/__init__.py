"""The weights are fixed, the input moves: visualise, invert, dream, style, attack."""
