"""What agents ask apart from their streams."""
