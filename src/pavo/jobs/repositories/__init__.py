"""The repositories of an organisation: where its jobs work."""
