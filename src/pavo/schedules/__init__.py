"""Schedules: what begins tasks, jobs and runs of flows again and again, each time once."""
