"""An agent task from prompt to report: stages, plan documents and review, execution, stop and resume.

Where to begin:
    domain             the rules: stages, phases, hashes, receipts
    workflow           the durable story of a task; contracts is all that it says to its activities
    endpoints          HTTP, and legacy_endpoints for the pages of the replaced system; schemas and presenters: the wire
    service, review, watching    the use cases behind HTTP; commander brings a command to the workflow
    activities         what runs agents: planning (context, plan, revision), execution (a batch of steps under a lease)
    projection         what the workflow shows people: stage, plan, receipt, failure
    lease, recorder    how a step is recorded once, and several in one commit
    repository, statements, request_statements    the SQL; models: the tables; events: what the timeline says
    attempt, hints, handover    how work in flight is interrupted, and taken over from a dead worker
    reconcile          the second line: rows and workflows that disagree
"""
