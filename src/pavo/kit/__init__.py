"""Ids, clock, pagination and the SQL base: what every slice may use; imports no slice."""
