"""What an agent reaches through its context, for a task."""
