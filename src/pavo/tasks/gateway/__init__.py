"""The recording gateway: an OpenAI-compatible server for whatever a task's agent runs; its answers are recorded."""
