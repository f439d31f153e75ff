"""The queue: its monitor, what people do with it, and the second line."""
