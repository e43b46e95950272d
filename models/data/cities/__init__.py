"""Real cities whose classes are known: their folders as rasters on one grid, cut into windows or packed."""
