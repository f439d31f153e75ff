"""MCP servers that the operator names: their tools are tools like others.

Each worker has one connection to each of them, on a thread and an event loop of its own (`servers`), supervised
(`server`). What a server sends is not trusted: it is bounded in bytes and seconds, and what it says of its tools'
effects is a hint.
"""
