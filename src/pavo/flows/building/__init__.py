"""Definitions that programs write: the same as those of files, read and checked as these are."""
