"""What an agent says while a step is under way."""
