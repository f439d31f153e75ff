"""HTTP of published flows and of runs."""
