"""The times of schedules: how they are written, and when they are."""
