"""Organisations, users, sessions and API tokens: who somebody is, and which organisations' tasks they may command."""
