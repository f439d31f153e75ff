"""One attempt at a job: what its workflow and its short writes are made of."""
