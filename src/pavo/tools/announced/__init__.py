"""Which tools the live workers have: they announce them as they do their agents, the API tells people."""
