"""An agent task from prompt to report: stages, plan documents and review, execution, stop and resume.

Where to begin:
    domain             the rules: stages, statuses, phases, hashes, receipts
    workflow           the durable story of a task; contracts is all that it says to its activities
    endpoints          HTTP, and legacy/ for the pages of the replaced system; schemas and wire/: what is sent
    service, review    the use cases behind HTTP; commands brings a command to the workflow
    work/              agent_activities: planning (context, plan, revision), execution (a batch of steps under a lease),
                       and how work in flight is interrupted, or taken over from a dead worker
                       record_activities: what the workflow shows people (stage, plan, receipt, failure)
    sql/               the tables and all SQL on them; transitions/ has both ways of each, removal what deletion empties
    events             what the timeline says; wire/event_data has each event's members, as written and as described
    reconcile          the second line: rows and workflows that disagree
"""
