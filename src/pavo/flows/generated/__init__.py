"""Flows that a model writes of a sentence: checked, tried with fakes and shown before a person accepts one by its hash.

What a model says is a stranger's text: it is read here within bounds, judged by the same checks as any other flow, and
nothing of it runs.
"""
