"""What a remote agent does when a gateway tells it to: a module for each command."""
