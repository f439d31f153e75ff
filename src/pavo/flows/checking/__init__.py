"""Checking a flow as a whole, for whoever asks: what is answered, and a process in which strangers' texts are read."""
