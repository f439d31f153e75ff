"""The program on the machine of a remote agent: `pavo agent run`."""
