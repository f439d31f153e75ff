"""Text that PostgreSQL can store: what is made so, and what is refused."""
