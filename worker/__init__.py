"""How a job runs: Celery tasks and the mapping pipeline."""
