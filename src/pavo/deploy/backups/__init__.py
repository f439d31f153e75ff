"""Backup and restore of a whole deployment, and the proof of a backup."""
