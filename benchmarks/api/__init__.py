"""Load on the interface: `python -m benchmarks.api`."""
