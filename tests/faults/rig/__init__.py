"""An installation that can be broken on purpose, for the tests of faults and for `python -m benchmarks.faults`."""
