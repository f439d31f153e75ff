"""Fault tests: real processes are killed, paused and cut off while tasks run."""
