"""Tells two pages of events, read from standard input, with the client that openapi-python-client made."""

import json
import sys

from pavo_client.api.jobs import list_job_events, stream_job
from pavo_client.api.tasks import list_events, stream_task
from pavo_client.models import AgentEvent, JobClaimedEvent, JobEventPage, LaterJobEvent, TaskEventPage, TickEvent

assert list_events.sync and stream_task.sync and list_job_events.sync and stream_job.sync
of_task, of_job = json.load(sys.stdin)
for event in TaskEventPage.from_dict(of_task).items:
    if isinstance(event, TickEvent):
        assert event.step >= 1 and event.type_ == "tick"
    print("AgentEvent" if isinstance(event, AgentEvent) else "PavoEvent", event.type_)
for event in JobEventPage.from_dict(of_job).items:
    if isinstance(event, JobClaimedEvent):
        assert event.epoch >= 1 and event.type_ == "claimed"
    print("LaterJobEvent" if isinstance(event, LaterJobEvent) else "KnownJobEvent", event.type_)
