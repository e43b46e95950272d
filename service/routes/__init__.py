"""The resources of the interface, one module a kind."""
