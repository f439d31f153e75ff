"""The removal of runs that are over."""
