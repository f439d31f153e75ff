"""Who shows a token of the gateway for a task, and how viewers of the task see what models say by it."""
