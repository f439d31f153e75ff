"""Jobs and queues as they change, over WebSockets."""
