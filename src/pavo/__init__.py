"""Pavo runs long AI-agent tasks durably on Temporal. Installed as `pavo-temporal`, imported as `pavo`."""

__version__ = "0.1.0"
