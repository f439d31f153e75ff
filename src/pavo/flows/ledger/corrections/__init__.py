"""What people correct in runs that have failed."""
