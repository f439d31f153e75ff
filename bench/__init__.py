"""Pavo and its peers on the same work: `python -m bench`."""
