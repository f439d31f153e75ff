"""Durable waits for a person. One slice for all: a question of an agent's, and what is still to come.

A gate outlives workers, servers and upgrades. It binds the hash of what it showed: whoever answers names it.
"""
