"""A worker's slots: whether it takes an attempt (`admission`), how many of whom (`places`), whose turn it is (`turns`),
and what is kept of whoever gave a slot up (`parked`).
"""
