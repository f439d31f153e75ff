"""The recording gateway: an OpenAI-compatible server for whatever an attempt runs; its answers are recorded."""
