"""Flows: declared work of many steps with dependencies."""
