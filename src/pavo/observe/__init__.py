"""Seen from outside: meters, /metrics, spans, and the ids that log lines carry. What is off imports nothing."""
