"""What several annotators do to one project: edits, the log that orders them, and the board they add up to."""
