"""An agent asks people: what a question is, and when an agent has nothing to do but wait for the answer."""
