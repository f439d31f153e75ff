"""An agent reads secrets of its organisation: those that its class declares."""
