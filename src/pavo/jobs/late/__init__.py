"""What lost attempts have done after all: kept on branches of their own, adopted or declined."""
