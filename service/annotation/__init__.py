"""Annotation in the browser: walls of masks, the state of a project, and what the pages ask for."""
