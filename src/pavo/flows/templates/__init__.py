"""Flows to begin from: patterns with parameters, which are filled once and then belong to whoever wrote them out."""
