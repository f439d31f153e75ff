"""The systems that are compared; each starts fresh, answers the same calls, and leaves nothing behind."""
