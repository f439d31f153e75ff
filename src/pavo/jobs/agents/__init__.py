"""The remote agents: who there is, what they can run, their tokens, whether they are there."""
