"""Pull requests of jobs at their forges."""
