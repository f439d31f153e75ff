"""The folder in which a task works, as its tools reach it."""
