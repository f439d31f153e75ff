"""The contract of the frontends that exist, over the same services."""
