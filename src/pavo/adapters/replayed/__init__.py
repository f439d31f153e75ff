"""Orchestrators that run from their beginning in each attempt, and are answered from what was recorded."""
