"""Processes below this one."""
