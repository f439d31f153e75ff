"""Which calls of tools run by themselves, which people are asked about, and which never run."""
