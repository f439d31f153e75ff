"""An organisation's documents and their full-text search: what its agents may know."""
