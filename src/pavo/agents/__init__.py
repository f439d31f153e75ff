"""What an agent is, how its code is hosted, and the agents that ship."""
