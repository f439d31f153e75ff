"""The Temporal client, its payload codec, and how its failures map to Pavo's errors."""
