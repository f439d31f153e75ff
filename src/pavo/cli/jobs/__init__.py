"""`pavo job`, `pavo queue`, `pavo repo`, `pavo agent`: coding jobs, and who does them."""
