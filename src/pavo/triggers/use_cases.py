"""All use cases of triggers, as they are built and as endpoints find them."""

from dataclasses import dataclass

from pavo.triggers.receiving import TriggerReceiving
from pavo.triggers.service import TriggerService


@dataclass(frozen=True, slots=True)
class TriggerUseCases:
    """What people, programs and senders do with triggers."""

    triggers: TriggerService
    receiving: TriggerReceiving
