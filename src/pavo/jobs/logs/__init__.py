"""The log of a job: rows with a cursor, read in pages and followed live."""
