"""`pavo task artifacts` and `pavo task artifact`: the files of a task."""
