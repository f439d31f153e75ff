"""`pavo usage` and `pavo budget`."""
