"""Coding programs: how each is started, how its output is read, when it is done."""
