"""Webhooks: an organisation's receivers are told what happens to its tasks, at least once, from an outbox."""
