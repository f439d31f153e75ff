"""What may be typed of schedules and triggers."""

from typing import Final

STARTING: Final = {
    "trigger": {
        "pavo trigger create triage --task '${{ body.issue.title }}' --accept": "a task for each signed message",
        "pavo trigger firings triage": "what became of them",
    },
    "trigger create": {
        "pavo trigger create triage --task '${{ body.issue.title }}' --accept": "a task for each signed message",
        "pavo trigger create load --flow load --when flow --of pull --outcome succeeded": "one flow after another",
    },
    "trigger list": {"pavo trigger list": "by name, each with what starts it"},
    "trigger show": {"pavo trigger show triage": "when it starts what, and what became of the last times"},
    "trigger firings": {"pavo trigger firings triage -n 50": "what became of messages and ends"},
    "trigger pause": {'pavo trigger pause triage "Too many of them"': "messages are refused with this reason"},
    "trigger resume": {"pavo trigger resume triage": "it goes on, and acts for you"},
    "trigger rotate": {"pavo trigger rotate triage --overlap 12h": "both secrets count for so long"},
    "trigger remove": {"pavo trigger remove triage": "once you agreed"},
    "schedule": {
        'pavo schedule create nightly --cron "0 2 * * *" --task "Report" --accept': "a task each night",
        "pavo schedule next nightly": "its next ten times",
        "pavo schedule backfill nightly --since 7d": "what is missing of a week, once you have seen it",
    },
    "schedule create": {
        'pavo schedule create nightly --cron "0 2 * * *" --task "Report" --accept': "a task each night",
        'pavo schedule create deps --cron "@weekly" --job "Update them" --repo acme/site --program codex': "a job",
    },
    "schedule set": {"pavo schedule set nightly --overlap BUFFER_ONE": "one waits for the former's end"},
    "schedule list": {"pavo schedule list": "by name, each with its next time"},
    "schedule show": {"pavo schedule show nightly": "what it starts, and what became of its last times"},
    "schedule firings": {"pavo schedule firings nightly -n 50": "what became of its times"},
    "schedule next": {
        "pavo schedule next nightly": "its next ten times",
        'pavo schedule next --cron "30 2 * * *" --time-zone Europe/Berlin': "before there is a schedule",
    },
    "schedule pause": {'pavo schedule pause nightly "The source is down"': "nothing starts by itself"},
    "schedule resume": {"pavo schedule resume nightly": "it goes on with its next time"},
    "schedule trigger": {"pavo schedule trigger nightly": "once, now"},
    "schedule backfill": {
        "pavo schedule backfill nightly --since 7d": "what is missing of a week",
        "pavo schedule backfill nightly --since 7d --which failed --yes": "what failed, without a question",
    },
    "schedule delete": {"pavo schedule delete nightly": "what it started stays"},
}
