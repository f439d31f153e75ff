"""What a task's run waits for while no attempt is under way: answers of people, and tasks that it delegated."""
