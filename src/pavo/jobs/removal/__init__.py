"""What is removed: jobs that somebody deletes, logs that are kept for long enough."""
