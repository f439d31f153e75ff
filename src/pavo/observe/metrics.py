"""Every metric of Pavo's own. `docs/observability.md` describes them for people; a test compares the two."""

from typing import Final

from pavo.observe.meters import Counter, Gauge, Histogram, Meter

QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""For what should take milliseconds."""
LONG: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""For an agent's step, which may take an hour."""

# API

HTTP_REQUESTS: Final = Counter(
    "pavo_http_requests_total", "Requests that were answered.", ("method", "route", "status")
)
HTTP_SECONDS: Final = Histogram(
    "pavo_http_request_seconds",
    "Seconds from a request to the end of its answer; for a stream to its beginning.",
    ("method", "route"),
    buckets=QUICK,
)
HTTP_IN_FLIGHT: Final = Gauge("pavo_http_requests_in_flight", "Requests that are being answered, streams included.")
VIEWERS: Final = Gauge("pavo_stream_viewers", "Open streams of events.")
EVENTS_SENT: Final = Counter("pavo_stream_events_total", "Events sent to viewers.")
VIEWERS_CUT: Final = Counter(
    "pavo_stream_viewers_cut_total", "Streams that were ended because too much waited for slow viewers."
)
STREAM_LAG: Final = Histogram(
    "pavo_stream_lag_seconds",
    "Seconds from an event's time in PostgreSQL to its being sent to a viewer who was waiting for it.",
    buckets=QUICK,
)
RUNS: Final = Gauge(
    "pavo_runs", "Tasks, and whatever else runs durably, by kind and stage; deleted ones left out.", ("kind", "stage")
)
BACKLOG: Final = Gauge(
    "pavo_task_queue_backlog", "Workflow tasks or activities that wait for a worker, about.", ("task_queue", "type")
)
BACKLOG_AGE: Final = Gauge(
    "pavo_task_queue_backlog_age_seconds", "Age of the oldest of those that wait, about.", ("task_queue", "type")
)
POLLERS: Final = Gauge(
    "pavo_task_queue_pollers", "Workers that asked for work within the last five minutes.", ("task_queue", "type")
)
WEBHOOKS_WAITING: Final = Gauge(
    "pavo_webhook_messages_waiting", "Messages to webhooks that are enabled, not delivered yet."
)
WEBHOOKS_OLDEST: Final = Gauge(
    "pavo_webhook_messages_oldest_seconds", "Age of the oldest of those messages; 0 where there is none."
)
TRIGGERS: Final = Gauge("pavo_triggers", "Triggers that go on, and that are paused.", ("stage",))
GATES_OPEN: Final = Gauge(
    "pavo_gates_open",
    "What agents ask, calls of tools that people are to allow or to tell of, and budgets, that wait for people.",
)
GATES_OLDEST: Final = Gauge("pavo_gates_oldest_seconds", "Age of the oldest of those; 0 where there is none.")
JOBS_OLDEST: Final = Gauge(
    "pavo_jobs_oldest_queued_seconds",
    "How long the coding job that waits longest has been queued, paused queues left out; 0 where none waits.",
)
JOBS_SILENT: Final = Gauge(
    "pavo_jobs_silent_seconds",
    "How long no log line, stage or result has come of the job in progress that is silent longest; 0: there is none.",
)
JOB_QUEUES_READY: Final = Gauge(
    "pavo_job_queues_ready", "Queues whose next job a free agent could be given: it is within seconds, so mostly 0."
)
JOB_COMMANDS_PENDING: Final = Gauge(
    "pavo_job_commands_pending", "Commands to remote agents whose result has not come, of jobs in progress."
)
REMOTE_AGENTS: Final = Gauge("pavo_remote_agents", "Remote agents: online, draining, offline.", ("state",))
DEPENDENCY_UP: Final = Gauge("pavo_dependency_up", "Whether a dependency answered the last time.", ("dependency",))

# Worker

STEPS: Final = Counter("pavo_steps_recorded_total", "Checkpoints recorded.")
TRANSCRIPT_MESSAGES: Final = Counter("pavo_transcript_messages_total", "Messages recorded in tasks' transcripts.")
STEP_SECONDS: Final = Histogram(
    "pavo_step_seconds", "Seconds that an agent worked on a step, recording left out.", buckets=LONG
)
COMMIT_SECONDS: Final = Histogram(
    "pavo_step_commit_seconds", "Seconds to record one group of checkpoints in PostgreSQL.", buckets=QUICK
)
STEP_ERRORS: Final = Counter("pavo_step_errors_total", "Steps at which an agent's code raised an error.")
LEASES_LOST: Final = Counter(
    "pavo_leases_lost_total", "Attempts that found at a write that a newer one had taken the task over."
)
NO_PROGRESS: Final = Counter(
    "pavo_no_progress_total",
    "Times that an agent had begun ten times again at the same checkpoint, after ends of its own.",
)
TOOL_CALLS: Final = Counter(
    "pavo_tool_calls_total",
    "Calls of tools that ended: done, failed, unknown, where people are asked whether it happened, or denied.",
    ("outcome",),
    (("done",), ("failed",), ("unknown",), ("denied",)),
)
TOOLS_HANGING: Final = Gauge(
    "pavo_tools_hanging", "Calls of tools that went on beyond their seconds and have not ended; each keeps a place."
)
MCP_SERVERS_UP: Final = Gauge("pavo_mcp_server_up", "Whether the worker is connected to an MCP server.", ("server",))
MCP_LOST: Final = Counter(
    "pavo_mcp_server_lost_total",
    "Times that an MCP server could not be started, or was lost; it is started again.",
    ("server",),
)
MODEL_CALLS: Final = Counter(
    "pavo_model_calls_total",
    "Calls of models that ended: done, failed after several tries, or refused, where trying again is useless.",
    ("outcome",),
    (("done",), ("failed",), ("refused",)),
)
MODEL_RETRIES: Final = Counter("pavo_model_retries_total", "Times that a call of a model was tried again.")
MODEL_SECONDS: Final = Histogram(
    "pavo_model_call_seconds", "Seconds that a call of a model took until its answer was whole.", buckets=LONG
)
MODEL_TOKENS: Final = Counter(
    "pavo_model_tokens_total",
    "Tokens of models' calls that were counted: in, out, and of those in from a provider's cache.",
    ("kind",),
    (("in",), ("out",), ("cached",)),
)
MODEL_COST: Final = Counter("pavo_model_cost_total", "What these calls cost, in the currency of the price table.")
BUDGETS_ASKED: Final = Counter(
    "pavo_budgets_asked_total",
    "Calls of models that a budget kept waiting for people.",
    ("of",),
    (("organisation",), ("task",)),
)
ARTIFACTS: Final = Counter("pavo_artifacts_total", "Files that tasks have kept.")
ARTIFACT_BYTES: Final = Counter("pavo_artifact_bytes_total", "Bytes of the files that tasks have kept.")
RECOVERIES: Final = Counter(
    "pavo_recoveries_total",
    "Attempts that went on after the last checkpoint after a process had died: the worker's or the agent's.",
    ("died",),
    (("worker",), ("agent",)),
)
WEBHOOK_ATTEMPTS: Final = Counter(
    "pavo_webhook_attempts_total",
    "Attempts to deliver a message to a webhook.",
    ("outcome",),
    (("delivered",), ("failed",)),
)
WEBHOOK_SECONDS: Final = Histogram("pavo_webhook_attempt_seconds", "Seconds that such an attempt took.", buckets=QUICK)
WEBHOOKS_DISABLED: Final = Counter(
    "pavo_webhooks_disabled_total", "Webhooks that this worker disabled, because they had failed for too long."
)
TURNS: Final = Counter(
    "pavo_turns_over_total", "Attempts that gave their slot up at a step's end because other tasks waited for one."
)
ATTEMPTS: Final = Gauge("pavo_attempts_running", "Plans and attempts that agents work on now.")

# Remote agents: pings that a worker records are of schedules, those of a gateway are of its rounds

FIRINGS: Final = Counter(
    "pavo_schedule_firings_total",
    "Times of schedules that were settled: something was started, left out for a reason, or could not be started.",
    ("outcome",),
    (("started",), ("skipped",), ("failed",)),
)
FIRING_LATENESS: Final = Histogram(
    "pavo_schedule_lateness_seconds",
    "Seconds from the time that a schedule names, without jitter, until what it starts has begun.",
    buckets=LONG,
)
TRIGGER_MESSAGES: Final = Counter(
    "pavo_trigger_messages_total",
    "Messages to triggers: taken, taken before, refused, or sent away because too many came.",
    ("outcome",),
    (("taken",), ("repeated",), ("refused",), ("limited",)),
)
TRIGGER_FIRINGS: Final = Counter(
    "pavo_trigger_firings_total",
    "Messages and ends that were settled: something was started, left out for a reason, or could not be started.",
    ("outcome",),
    (("started",), ("skipped",), ("failed",)),
)
TRIGGER_LATENESS: Final = Histogram(
    "pavo_trigger_lateness_seconds",
    "Seconds from a message or an end until what it starts has begun.",
    buckets=LONG,
)
FLOW_RUNS_ENDED: Final = Counter(
    "pavo_flow_runs_ended_total",
    "Runs of flows that an engine here brought to their end, by the engine.",
    ("engine", "outcome"),
    tuple((engine, outcome) for engine in ("local", "temporal") for outcome in ("succeeded", "failed", "cancelled")),
)
FLOW_ATTEMPT_SECONDS: Final = Histogram(
    "pavo_flow_attempt_seconds",
    "Seconds that an attempt at a step of a flow took, by the kind of the step; of what others do, until it was begun.",
    ("kind",),
    buckets=LONG,
)
AGENT_PINGS: Final = Counter(
    "pavo_agent_pings_total",
    "Pings of remote agents that were recorded, by whether the agent answered within five seconds.",
    ("outcome",),
    (("answered",), ("failed",)),
)
AGENTS_LOST: Final = Counter(
    "pavo_agents_lost_total", "Times that a remote agent was taken for offline, after three failed pings in a row."
)

# Gateway to remote agents

GATEWAY_SESSIONS: Final = Gauge("pavo_gateway_sessions", "Remote agents that are connected to this gateway.")
GATEWAY_SESSIONS_OPENED: Final = Counter("pavo_gateway_sessions_opened_total", "Sessions of remote agents that began.")
GATEWAY_REFUSED: Final = Counter(
    "pavo_gateway_refused_total",
    "Remote agents, and calls of theirs, that were refused, by the error.",
    ("error",),
    (("NotAuthenticated",),),
)
GATEWAY_COMMANDS: Final = Counter(
    "pavo_gateway_commands_total",
    "Commands sent to remote agents, sent again included, by kind.",
    ("kind",),
    (("start_execution",),),
)
GATEWAY_RESULTS: Final = Counter(
    "pavo_gateway_results_total",
    "Results that remote agents sent: kept, again, where it was kept before, or unknown, where their job is gone.",
    ("outcome",),
    (("kept",), ("again",), ("unknown",)),
)
GATEWAY_LOG_LINES: Final = Counter("pavo_gateway_log_lines_total", "Lines of jobs' logs that were stored.")
GATEWAY_LOG_GAPS: Final = Counter(
    "pavo_gateway_log_gaps_total", "Lines of jobs' logs that were lost, for their agent had no room; each gap is shown."
)
GATEWAY_LOG_ACKS: Final = Counter("pavo_gateway_log_acks_total", "Acknowledgements of log lines.")
GATEWAY_RENEWALS: Final = Counter("pavo_gateway_renewals_total", "Leases of jobs that were prolonged.")

# Both

EVENTS_PUBLISHED: Final = Counter("pavo_events_published_total", "Events handed to Redis.")
PUBLISH_FAILURES: Final = Counter("pavo_publish_failures_total", "Times that Redis did not take events.")

OF_BOTH: Final[tuple[Meter, ...]] = (
    EVENTS_PUBLISHED,
    PUBLISH_FAILURES,
    MODEL_CALLS,
    MODEL_RETRIES,
    MODEL_SECONDS,
    MODEL_TOKENS,
    MODEL_COST,
    BUDGETS_ASKED,
    FIRINGS,
    FIRING_LATENESS,
    TRIGGER_FIRINGS,
    TRIGGER_LATENESS,
)
OF_API: Final[tuple[Meter, ...]] = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    HTTP_IN_FLIGHT,
    VIEWERS,
    EVENTS_SENT,
    VIEWERS_CUT,
    STREAM_LAG,
    RUNS,
    BACKLOG,
    BACKLOG_AGE,
    POLLERS,
    WEBHOOKS_WAITING,
    WEBHOOKS_OLDEST,
    GATES_OPEN,
    GATES_OLDEST,
    JOBS_OLDEST,
    JOBS_SILENT,
    JOB_QUEUES_READY,
    JOB_COMMANDS_PENDING,
    REMOTE_AGENTS,
    DEPENDENCY_UP,
    TRIGGERS,
    TRIGGER_MESSAGES,
    *OF_BOTH,
)
OF_WORKER: Final[tuple[Meter, ...]] = (
    STEPS,
    TRANSCRIPT_MESSAGES,
    STEP_SECONDS,
    COMMIT_SECONDS,
    STEP_ERRORS,
    LEASES_LOST,
    NO_PROGRESS,
    RECOVERIES,
    TOOL_CALLS,
    TOOLS_HANGING,
    MCP_SERVERS_UP,
    MCP_LOST,
    ARTIFACTS,
    ARTIFACT_BYTES,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_SECONDS,
    WEBHOOKS_DISABLED,
    TURNS,
    ATTEMPTS,
    FLOW_RUNS_ENDED,
    FLOW_ATTEMPT_SECONDS,
    AGENT_PINGS,
    AGENTS_LOST,
    *OF_BOTH,
)
OF_GATEWAY: Final[tuple[Meter, ...]] = (
    GATEWAY_SESSIONS,
    GATEWAY_SESSIONS_OPENED,
    GATEWAY_REFUSED,
    GATEWAY_COMMANDS,
    GATEWAY_RESULTS,
    GATEWAY_LOG_LINES,
    GATEWAY_LOG_GAPS,
    GATEWAY_LOG_ACKS,
    GATEWAY_RENEWALS,
    ARTIFACTS,
    ARTIFACT_BYTES,
    AGENT_PINGS,
    AGENTS_LOST,
    EVENTS_PUBLISHED,
    PUBLISH_FAILURES,
)
