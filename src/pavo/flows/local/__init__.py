"""The engine that needs no Temporal: runs are claimed by lease, and all that they know is in PostgreSQL."""
