"""How fast the dense network is beside the same weights run patch by patch; see `python -m benchmarks.dense --help`."""
