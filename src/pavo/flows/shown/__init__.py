"""Runs as people see them: lists, and the tree of a run's steps."""
