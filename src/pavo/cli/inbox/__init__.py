"""`pavo inbox`: what waits for people, and answering it."""
