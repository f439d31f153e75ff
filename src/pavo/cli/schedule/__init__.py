"""`pavo schedule`: what starts again and again."""
