"""How a job runs: Celery tasks and the mapping pipeline."""

from worker.gathering import gather_counts

gather_counts()  # before anything is imported that counts
