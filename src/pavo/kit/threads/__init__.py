"""Calls on threads."""
