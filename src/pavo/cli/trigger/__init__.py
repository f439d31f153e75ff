"""`pavo trigger`: what starts when a message comes, or something ends."""
