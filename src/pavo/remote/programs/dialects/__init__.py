"""How coding programs tell what they do: one module for each dialect."""
