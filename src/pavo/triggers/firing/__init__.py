"""From a message or an end to what it starts."""
