"""What a task's agent and its model said to each other: append-only, in numbered messages, read in windows."""
