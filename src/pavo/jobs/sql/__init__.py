"""Tables and all SQL of jobs."""
