"""What people ask of jobs over HTTP: submit, look, cancel, order; and how they are shown."""
