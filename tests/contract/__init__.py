"""The published contract, tried against the running service."""
