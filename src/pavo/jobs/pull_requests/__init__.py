"""Pull requests of jobs that are done, as their forges have them: their state, and comments that jobs answer."""
