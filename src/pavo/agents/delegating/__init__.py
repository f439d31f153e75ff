"""Tasks that an agent hands to another agent, and waits for."""
