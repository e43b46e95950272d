"""The data sets the networks learn from and are measured on."""
