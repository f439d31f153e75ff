"""Programs, in any language, as agents of Pavo."""
