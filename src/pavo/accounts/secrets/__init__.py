"""Secrets of an organisation: kept sealed, handed to agents that declare them, shown to nobody."""
