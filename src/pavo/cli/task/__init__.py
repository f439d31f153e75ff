"""Commands on tasks: run, list, watch, review, stop and resume; the demonstration."""
