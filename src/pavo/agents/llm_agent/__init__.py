"""The agent `llm`: a model plans, calls tools, and answers, on any endpoint that speaks OpenAI's chat completions.

A loop of its own over `ctx.complete`, `ctx.call` and `ctx.ask`: nothing of it needs more than the contract of agents.
"""
