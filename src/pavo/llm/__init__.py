"""Calls of models: the client of OpenAI-compatible servers, and the journal that keeps what they answered.

Real keys are read here alone; agents' processes never have them.
"""
