"""Anthropic's Messages API, for clients that speak nothing else; models are asked by chat completions all the same."""
