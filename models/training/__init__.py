"""Training the networks: configurations, data to learn from, steps, losses, and what a run leaves behind."""
