"""A stack on this machine: what it is made of, its start, its supervision."""
