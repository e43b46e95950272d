"""Callbacks as the worker sends them: bodies, connections to checked addresses, attempts and their schedule."""
