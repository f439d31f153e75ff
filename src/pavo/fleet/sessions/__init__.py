"""Streams of remote agents, from the Hello to the end."""
