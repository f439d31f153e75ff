"""What an agent's context is made of: where it reads, and where it speaks."""
