"""Servers and models that tests start for themselves, on free ports."""
