"""Git, fenced: a closed environment, checked names, credentials on demand."""
