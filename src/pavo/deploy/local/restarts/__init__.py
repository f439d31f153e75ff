"""Parts of a running stack that are started again by themselves: for new code, and for new certificates."""
