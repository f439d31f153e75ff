"""Published versions of flows: what people and programs do with them, over HTTP and on the command line."""
