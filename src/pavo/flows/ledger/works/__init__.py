"""What steps have others do: what is awaited, and the runs that are steps of others."""
