"""What runs behind each part on this machine: how it is prepared, started, asked and settled."""
