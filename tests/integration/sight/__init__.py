"""What operators see of a running stack: traces, metrics, logs, health, and what the doctor says."""
