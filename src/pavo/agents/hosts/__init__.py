"""How an agent's code is hosted: in the worker itself, or in a child process of its own."""
