"""Profiles that are shipped."""
