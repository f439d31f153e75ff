"""Triggers: what is started when a signed message comes, or when something of Pavo's ends."""
