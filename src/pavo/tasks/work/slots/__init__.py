"""Whether a worker takes an attempt (`admission`), and how many tasks of whom it works on at once (`places`)."""
