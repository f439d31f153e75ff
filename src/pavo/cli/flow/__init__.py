"""`pavo flow`: flows that are declared in files."""
