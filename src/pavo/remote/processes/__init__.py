"""Programs of other people, each in a tree of processes of its own, which ends whole."""
