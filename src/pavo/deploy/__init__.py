"""The stack: what its parts are, and how each target runs them."""
