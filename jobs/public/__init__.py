"""What clients are told: bodies after OGC API - Processes, the status and results of a job, and every problem."""
