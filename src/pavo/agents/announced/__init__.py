"""Which agents the live workers have: they announce them (`announcements`), the API tells people (`availability`)."""
