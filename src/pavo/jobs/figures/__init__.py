"""What metrics show of all organisations' jobs and agents."""
