"""The command line: thin commands, each file one group."""
