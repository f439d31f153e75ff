"""Tables and all SQL of jobs."""

from typing import Final

IN_PROGRESS: Final = "('CLAIMED', 'PREPARING', 'EXECUTING', 'VERIFYING', 'PUBLISHING', 'CLEANING')"
"""`domain.IN_PROGRESS`, for all SQL: what an index is partial by is asked for in the same words."""
