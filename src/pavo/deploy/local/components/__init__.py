"""The servers behind the parts: where their programs are, how each is prepared, started and asked."""
