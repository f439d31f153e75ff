"""Signatures of the deployment's under what an agent must not load from anybody else, such as a pickle."""
