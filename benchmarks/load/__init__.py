"""A thousand jobs at once, of two tenants: the shares of each, memory, and what is told to those who send too much."""
