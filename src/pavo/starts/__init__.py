"""What schedules and triggers start, and how it begins once, whatever dies on the way."""
