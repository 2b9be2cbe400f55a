"""Bodies of classifiers: each maps normalised inputs to features ``(N, num_features)``; a linear head follows."""
