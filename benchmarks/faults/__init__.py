"""Breaks an installation in every way we can think of while it works, and counts what that loses."""
