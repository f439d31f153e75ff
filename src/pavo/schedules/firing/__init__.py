"""Firings: what is due is written down once, and begun once."""
