"""Tasks and coding jobs as something else has them done: schedules, steps of flows."""
