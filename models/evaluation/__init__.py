"""Maps measured against what is known: procedural cities, real cities, baselines, temperatures."""
