"""Everything drawn: curves, grids, confusion matrices, decision regions. Each function returns a PNG."""
