"""How much a policy may say; read by clients too, which judge nothing."""

from typing import Final

MAX_POLICIES: Final = 100
"""Of an organisation."""
MAX_OF_TASK: Final = 20
MAX_GLOB: Final = 100
MAX_SCHEMA_BYTES: Final = 8_000
MAX_NOTE: Final = 300
