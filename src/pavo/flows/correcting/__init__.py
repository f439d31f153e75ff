"""Opening a run that has failed again."""
