"""The contract between service and workers: what a job is, where its truth is kept, the queue, the settings."""
