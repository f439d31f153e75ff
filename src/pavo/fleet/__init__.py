"""The gRPC gateway: the sessions of remote agents, their commands, results and logs."""
