"""Steps that are work of its own: an agent's task, a coding job. They are begun, and end when that work is over."""
