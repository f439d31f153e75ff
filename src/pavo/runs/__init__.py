"""What every durable kind of work shares: tasks today, jobs and flows to come. Composed, never inherited.

kinds           a `Kind` for each: its workflow, how its ids read, what runs on a schedule; a `Slice` wires one
fence           the number of each write of a run, so that a late or repeated one changes nothing
story           what workflows compose: short activities, fences, moving on, handlers in order
workflow_calls  start, update, signal: deterministic ids, time limits, refusals as errors; `presence` tells
                    busy workers from absent ones
reconcile       the second line: rows and workflows that disagree; `reconcile_workflow` is its round, which
                    `schedules` start
handover        a dead worker's attempts are failed at once; `worker_ends` tells how it ended
idempotency     which run an Idempotency-Key has made
probe_workflow  the smallest workflow, by which a version of the workers shows that it answers
"""
