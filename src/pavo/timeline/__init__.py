"""The event log of a task: appended in the caller's transaction, published after commit, replayed and followed."""
