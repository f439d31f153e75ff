"""How well a model writes flows: a set of requests, scored by the structure of what comes of them."""
