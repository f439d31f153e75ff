"""LangGraph's graphs as agents of Pavo."""
