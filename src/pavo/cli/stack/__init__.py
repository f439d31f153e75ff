"""Commands on the embedded stack of this machine, and its parts one by one."""
