"""What others see of a process: meters, /metrics, spans, and the ids in log lines. What is switched off is not
imported."""
