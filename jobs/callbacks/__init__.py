"""Callbacks as service and worker both know them: where they may go, how they are signed, what became of them."""
