"""The event log of a subject, which is whatever has a UUID and goes on for a while: a task, a job, a run of a flow.

Appended in the caller's transaction, published after commit, read in pages, followed live.
"""
