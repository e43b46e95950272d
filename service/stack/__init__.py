"""The servers of the embedded stack (Triton, Valkey), started from their wheels for `cityzones up`, demos and tests."""
