"""Commands to remote agents: activities, documents, outcomes, and the workers that take them."""
