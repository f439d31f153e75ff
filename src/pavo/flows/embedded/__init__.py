"""An engine for flows inside a program of somebody else's."""
