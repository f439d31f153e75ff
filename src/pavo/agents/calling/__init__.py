"""An agent calls tools: what a call is, and what comes of it."""
