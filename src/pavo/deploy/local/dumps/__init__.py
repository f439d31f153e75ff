"""What the stores of a stack hold, written to files and put back."""
