"""An organisation's coding jobs: their queue, and the remote agents that do them."""
