"""What a worker does for a task: planning, executing, recording, and what interrupts it."""
