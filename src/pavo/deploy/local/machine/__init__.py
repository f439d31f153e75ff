"""What this machine gives a stack: processes, ports, users, log files, locks, threads."""
