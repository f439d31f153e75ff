"""Lines of jobs' logs on their way from agents into PostgreSQL."""
