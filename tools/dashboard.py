"""Write the Grafana dashboard: `python tools/dashboard.py > src/pavo/deploy/dashboards/pavo.json`."""

import json
from typing import Any

RATE = "[$__rate_interval]"
QUEUES, OF_QUEUE = "max by (task_queue, type)", "{{task_queue}}, {{type}}"
WIDTH, HEIGHT = 8, 7
"""Of a panel, in Grafana's grid of 24 columns."""


def quantiles(metric: str, by: str = "", *shares: float) -> list[tuple[str, str]]:
    """One query for each share of a histogram."""
    also = f", {by}" if by else ""
    legend = f" {{{{{by}}}}}" if by else ""
    return [
        (
            f"histogram_quantile({share}, sum by (le{also}) (rate({metric}_bucket{RATE})))",
            f"p{share * 100:g}{legend}",
        )
        for share in shares or (0.5, 0.95, 0.99)
    ]


def rate(metric: str, by: str = "", legend: str = "") -> tuple[str, str]:
    """Per second."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{RATE}))", legend or (f"{{{{{by}}}}}" if by else metric)


ROWS: dict[str, list[tuple[str, str, list[tuple[str, str]]]]] = {
    "Tasks and steps": [
        ("Tasks by stage", "short", [('max by (stage) (pavo_runs{kind="task"})', "{{stage}}")]),
        ("Steps recorded", "ops", [rate("pavo_steps_recorded_total", legend="steps")]),
        ("Plans and attempts running", "short", [("sum by (instance) (pavo_attempts_running)", "{{instance}}")]),
        ("Agent's time for a step", "s", quantiles("pavo_step_seconds")),
        ("Recording a group of steps", "s", quantiles("pavo_step_commit_seconds")),
        (
            "What goes wrong",
            "ops",
            [
                rate("pavo_step_errors_total", legend="agent's errors"),
                rate("pavo_leases_lost_total", legend="leases lost"),
                rate("pavo_recoveries_total", "died", "recovered, {{died}} died"),
            ],
        ),
    ],
    "Task queue": [
        (
            "Waiting for a worker",
            "short",
            [(f"{QUEUES} (pavo_task_queue_backlog)", OF_QUEUE)],
        ),
        (
            "Age of the oldest that waits",
            "s",
            [(f"{QUEUES} (pavo_task_queue_backlog_age_seconds)", OF_QUEUE)],
        ),
        (
            "Workers and free slots",
            "short",
            [
                (f"{QUEUES} (pavo_task_queue_pollers)", f"pollers, {OF_QUEUE}"),
                ("sum by (worker_type) (temporal_worker_task_slots_available)", "free, {{worker_type}}"),
            ],
        ),
    ],
    "Jobs and remote agents": [
        ("Jobs by stage", "short", [('max by (stage) (pavo_runs{kind="job"})', "{{stage}}")]),
        (
            "Waiting and silent",
            "s",
            [
                ("max (pavo_jobs_oldest_queued_seconds)", "oldest that is queued"),
                ("max (pavo_jobs_silent_seconds)", "silent longest"),
            ],
        ),
        (
            "Remote agents and sessions",
            "short",
            [
                ("max by (state) (pavo_remote_agents)", "{{state}}"),
                ("sum (pavo_gateway_sessions)", "connected to gateways"),
                rate("pavo_agents_lost_total", legend="lost, a second"),
            ],
        ),
        (
            "Commands and queues",
            "short",
            [
                ("max (pavo_job_commands_pending)", "commands without a result"),
                ("max (pavo_job_queues_ready)", "queues that could be served now"),
            ],
        ),
        (
            "Commands and results",
            "ops",
            [
                rate("pavo_gateway_commands_total", "kind"),
                rate("pavo_gateway_results_total", "outcome", "results, {{outcome}}"),
                rate("pavo_gateway_refused_total", "error", "refused, {{error}}"),
            ],
        ),
        (
            "Log lines",
            "ops",
            [
                rate("pavo_gateway_log_lines_total", legend="stored"),
                rate("pavo_gateway_log_gaps_total", legend="lost at agents"),
            ],
        ),
    ],
    "HTTP": [
        ("Requests", "reqps", [rate("pavo_http_requests_total", "status")]),
        ("Latency by route, p95", "s", quantiles("pavo_http_request_seconds", "route", 0.95)),
        ("In flight", "short", [("sum by (instance) (pavo_http_requests_in_flight)", "{{instance}}")]),
    ],
    "Streams": [
        ("Viewers", "short", [("sum by (instance) (pavo_stream_viewers)", "{{instance}}")]),
        ("From an event to its viewer", "s", quantiles("pavo_stream_lag_seconds")),
        (
            "Events",
            "ops",
            [
                rate("pavo_events_published_total", legend="published"),
                rate("pavo_stream_events_total", legend="sent to viewers"),
                rate("pavo_publish_failures_total", legend="publishing failed"),
            ],
        ),
    ],
    "Temporal, as its clients see it": [
        ("Requests", "reqps", [rate("temporal_request", "operation")]),
        ("Latency of requests, p95", "ms", quantiles("temporal_request_latency", "operation", 0.95)),
        (
            "Waiting for a worker, p95",
            "ms",
            [
                *quantiles("temporal_workflow_task_schedule_to_start_latency", "", 0.95),
                *quantiles("temporal_activity_schedule_to_start_latency", "", 0.95),
            ],
        ),
        ("Workflow tasks", "ms", quantiles("temporal_workflow_task_execution_latency")),
        ("Workflows that ended", "ops", [rate("temporal_workflow_completed", "workflow_type")]),
        ("Workflows in memory", "short", [("sum by (instance) (temporal_sticky_cache_size)", "{{instance}}")]),
    ],
    "Processes": [
        ("CPU", "percentunit", [(f"rate(process_cpu_seconds_total{RATE})", "{{instance}}")]),
        ("Memory", "bytes", [("process_resident_memory_bytes", "{{instance}}")]),
        (
            "Dependencies and builds",
            "short",
            [
                ("min by (dependency) (pavo_dependency_up)", "{{dependency}} answers"),
                ("count by (part, version) (pavo_build_info)", "{{part}} {{version}}"),
            ],
        ),
    ],
}


def panel(number: int, place: int, top: int, what: tuple[str, str, list[tuple[str, str]]]) -> dict[str, Any]:
    """One graph."""
    title, unit, queries = what
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": place % 3 * WIDTH, "y": top + place // 3 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": source, "expr": expr, "legendFormat": legend}
            for i, (expr, legend) in enumerate(queries)
        ],
    }


def dashboard() -> dict[str, Any]:
    """The whole."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []}
        )
        for i, what in enumerate(row):
            panels.append(panel(len(panels) + 1, i, top + 1, what))
        top += 1 + -(-len(row) // 3) * HEIGHT
    choice = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "pavo",
        "title": "Pavo",
        "tags": ["pavo", "temporal"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [choice]},
        "panels": panels,
    }


def text() -> str:
    """As it stands in the file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    print(text(), end="")
