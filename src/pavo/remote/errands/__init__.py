"""What is done for an attempt, and how that fails."""
