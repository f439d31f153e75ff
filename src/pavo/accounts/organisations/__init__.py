"""Organisations as their members see and run them: members, roles, invitations."""
