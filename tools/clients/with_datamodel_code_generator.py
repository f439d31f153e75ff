"""Tells two pages of events, read from standard input, with the models that datamodel-code-generator made."""

import json
import sys

from models import AgentEvent, JobClaimedEvent, JobEventPage, LaterJobEvent, TaskEventPage, TickEvent

of_task, of_job = json.load(sys.stdin)
for one in TaskEventPage.model_validate(of_task).items:
    if isinstance(one.root, AgentEvent):
        print("AgentEvent", one.root.type)
        continue
    event = one.root.root
    if isinstance(event, TickEvent):
        assert event.step >= 1
    print(type(one.root).__name__, event.type)
for one in JobEventPage.model_validate(of_job).items:
    if isinstance(one.root, LaterJobEvent):
        print("LaterJobEvent", one.root.type)
        continue
    event = one.root.root
    if isinstance(event, JobClaimedEvent):
        assert event.epoch >= 1
    print(type(one.root).__name__, event.type)
