"""All tables of Pavo, for migrations."""

from pavo.accounts import models as accounts
from pavo.accounts.secrets import models as secrets
from pavo.artifacts import models as artifacts
from pavo.corpus import models as corpus
from pavo.flows.ledger import models as flows
from pavo.gates import models as gates
from pavo.jobs.leases import models as leases
from pavo.jobs.live import models as changes
from pavo.jobs.sql import models as jobs
from pavo.kit.sql import Base
from pavo.llm import models as llm
from pavo.llm.named import models as model_endpoints
from pavo.runs import idempotency
from pavo.schedules import models as schedules
from pavo.tasks.sql import gateway_tokens
from pavo.tasks.sql import models as tasks
from pavo.timeline import models as timeline
from pavo.tools import models as tools
from pavo.tools.policies import models as policies
from pavo.transcripts import models as transcripts
from pavo.triggers import models as triggers
from pavo.usage import models as usage
from pavo.webhooks import models as webhooks

metadata = Base.metadata
"""Complete once the slices' models are imported, which this module does."""

__all__ = [
    "accounts",
    "artifacts",
    "changes",
    "corpus",
    "flows",
    "gates",
    "gateway_tokens",
    "idempotency",
    "jobs",
    "leases",
    "llm",
    "metadata",
    "model_endpoints",
    "policies",
    "schedules",
    "secrets",
    "tasks",
    "timeline",
    "tools",
    "transcripts",
    "triggers",
    "usage",
    "webhooks",
]
