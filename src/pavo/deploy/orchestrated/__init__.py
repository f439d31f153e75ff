"""Targets that others run: Docker Compose and Kubernetes."""
