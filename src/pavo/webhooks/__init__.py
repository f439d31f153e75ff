"""Webhooks: an organisation's receivers are told what happens to its tasks and jobs, at least once, from an outbox."""
