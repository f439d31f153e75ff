"""The tables of tasks and all SQL on them."""
