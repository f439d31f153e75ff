"""An agent calls tools and models: what a call is, and what comes of it."""
