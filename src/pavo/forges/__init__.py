"""Forges where repositories are: their pull requests, behind one port (`port.Forge`) with a dialect for each forge."""
