"""How webhooks come into a worker process. They run nothing on Temporal, so they are no kind of durable work (see
decision 27): a worker delivers the outbox beside its work, an API has the use cases alone."""

from pavo.config import WebhookSettings
from pavo.kit.sql import Database
from pavo.webhooks.deliverer import Deliverer
from pavo.webhooks.sender import Sender


def build_deliverer(database: Database, settings: WebhookSettings) -> Deliverer:
    """A deliverer for the running event loop; `start` it, and `close` it before the database."""
    sender = Sender(settings.allowed_networks, settings.attempt_seconds)
    return Deliverer(database, sender, settings.attempt_seconds)
