"""(k) and (l): conversations with a model and a tool, on Pavo, by the framework alone, and by it on Temporal."""
