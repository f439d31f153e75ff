"""Agents keep files: what they are offered, and its way over the wire."""
