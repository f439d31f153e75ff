"""What can be started in a process."""

from collections.abc import Mapping

from pavo.flows.wiring import flow_runs
from pavo.kit.sql import KeptConnections
from pavo.runs.kinds import ApiClients, WorkerClients
from pavo.works.wiring import works
from pavo.works.work import Work


def works_of(clients: ApiClients | WorkerClients, connections: KeptConnections) -> Mapping[str, Work]:
    """By kind."""
    from pavo.starts.flow_work import FlowWork  # here, as flows do it: it reads definitions

    return {**works(clients, connections), "flow": FlowWork(*flow_runs(clients))}
