"""Pavo runs long AI-agent tasks durably on Temporal."""

__version__ = "0.1.0"
