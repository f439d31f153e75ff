"""Connections to servers that somebody else names: to checked addresses alone, bounded."""
