"""Expressions of flows: found in texts, checked, and evaluated in a process of their own."""
