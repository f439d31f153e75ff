from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FromAgent(_message.Message):
    __slots__ = ("hello", "ping", "pong", "accepted", "result", "log", "working", "goodbye", "changed")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    WORKING_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    ping: Ping
    pong: Pong
    accepted: Accepted
    result: Result
    log: LogChunk
    working: Working
    goodbye: Goodbye
    changed: Capabilities
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., log: _Optional[_Union[LogChunk, _Mapping]] = ..., working: _Optional[_Union[Working, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., changed: _Optional[_Union[Capabilities, _Mapping]] = ...) -> None: ...

class ToAgent(_message.Message):
    __slots__ = ("welcome", "ping", "pong", "command", "cancel", "result_ack", "log_ack", "goodbye", "drain")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    RESULT_ACK_FIELD_NUMBER: _ClassVar[int]
    LOG_ACK_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    ping: Ping
    pong: Pong
    command: Command
    cancel: Cancel
    result_ack: ResultAck
    log_ack: LogAck
    goodbye: Goodbye
    drain: Drain
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., command: _Optional[_Union[Command, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., result_ack: _Optional[_Union[ResultAck, _Mapping]] = ..., log_ack: _Optional[_Union[LogAck, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "version", "agent", "machine_id", "boot_id", "capabilities", "running")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    MACHINE_ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    version: str
    agent: str
    machine_id: str
    boot_id: str
    capabilities: Capabilities
    running: _containers.RepeatedCompositeFieldContainer[RunningJob]
    def __init__(self, protocol: _Optional[int] = ..., version: _Optional[str] = ..., agent: _Optional[str] = ..., machine_id: _Optional[str] = ..., boot_id: _Optional[str] = ..., capabilities: _Optional[_Union[Capabilities, _Mapping]] = ..., running: _Optional[_Iterable[_Union[RunningJob, _Mapping]]] = ...) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("labels", "programs", "capacity", "draining", "sandbox")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROGRAMS_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    programs: _containers.RepeatedScalarFieldContainer[str]
    capacity: int
    draining: bool
    sandbox: str
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., programs: _Optional[_Iterable[str]] = ..., capacity: _Optional[int] = ..., draining: _Optional[bool] = ..., sandbox: _Optional[str] = ...) -> None: ...

class RunningJob(_message.Message):
    __slots__ = ("job_id", "epoch", "last_log_seq", "command_ids")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LAST_LOG_SEQ_FIELD_NUMBER: _ClassVar[int]
    COMMAND_IDS_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    last_log_seq: int
    command_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., last_log_seq: _Optional[int] = ..., command_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "version", "session", "log_credit", "ping_seconds", "silence_seconds", "jobs", "debts")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    LOG_CREDIT_FIELD_NUMBER: _ClassVar[int]
    PING_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SILENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    DEBTS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    version: str
    session: int
    log_credit: int
    ping_seconds: int
    silence_seconds: int
    jobs: _containers.RepeatedCompositeFieldContainer[KeptJob]
    debts: _containers.RepeatedCompositeFieldContainer[Cleanup]
    def __init__(self, protocol: _Optional[int] = ..., version: _Optional[str] = ..., session: _Optional[int] = ..., log_credit: _Optional[int] = ..., ping_seconds: _Optional[int] = ..., silence_seconds: _Optional[int] = ..., jobs: _Optional[_Iterable[_Union[KeptJob, _Mapping]]] = ..., debts: _Optional[_Iterable[_Union[Cleanup, _Mapping]]] = ...) -> None: ...

class KeptJob(_message.Message):
    __slots__ = ("job_id", "epoch", "yours", "acked_log_seq")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    YOURS_FIELD_NUMBER: _ClassVar[int]
    ACKED_LOG_SEQ_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    yours: bool
    acked_log_seq: int
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., yours: _Optional[bool] = ..., acked_log_seq: _Optional[int] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("reason", "remedy", "come_back")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    COME_BACK_FIELD_NUMBER: _ClassVar[int]
    reason: str
    remedy: str
    come_back: bool
    def __init__(self, reason: _Optional[str] = ..., remedy: _Optional[str] = ..., come_back: _Optional[bool] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("id", "job_id", "epoch", "timeout_seconds", "start_execution", "run_verification", "create_pull_request", "cleanup", "make_plan", "keep_late_work")
    ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    START_EXECUTION_FIELD_NUMBER: _ClassVar[int]
    RUN_VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_PULL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CLEANUP_FIELD_NUMBER: _ClassVar[int]
    MAKE_PLAN_FIELD_NUMBER: _ClassVar[int]
    KEEP_LATE_WORK_FIELD_NUMBER: _ClassVar[int]
    id: str
    job_id: str
    epoch: int
    timeout_seconds: int
    start_execution: StartExecution
    run_verification: RunVerification
    create_pull_request: CreatePullRequest
    cleanup: Cleanup
    make_plan: MakePlan
    keep_late_work: KeepLateWork
    def __init__(self, id: _Optional[str] = ..., job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., timeout_seconds: _Optional[int] = ..., start_execution: _Optional[_Union[StartExecution, _Mapping]] = ..., run_verification: _Optional[_Union[RunVerification, _Mapping]] = ..., create_pull_request: _Optional[_Union[CreatePullRequest, _Mapping]] = ..., cleanup: _Optional[_Union[Cleanup, _Mapping]] = ..., make_plan: _Optional[_Union[MakePlan, _Mapping]] = ..., keep_late_work: _Optional[_Union[KeepLateWork, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("job_id", "epoch", "reason")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    reason: str
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("command_id",)
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    def __init__(self, command_id: _Optional[str] = ...) -> None: ...

class ResultAck(_message.Message):
    __slots__ = ("command_id",)
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    def __init__(self, command_id: _Optional[str] = ...) -> None: ...

class Working(_message.Message):
    __slots__ = ("command_id", "job_id", "epoch", "stage")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    job_id: str
    epoch: int
    stage: str
    def __init__(self, command_id: _Optional[str] = ..., job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., stage: _Optional[str] = ...) -> None: ...

class Repository(_message.Message):
    __slots__ = ("id", "clone_url", "default_branch", "forge", "forge_url", "author_name", "author_email")
    ID_FIELD_NUMBER: _ClassVar[int]
    CLONE_URL_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_BRANCH_FIELD_NUMBER: _ClassVar[int]
    FORGE_FIELD_NUMBER: _ClassVar[int]
    FORGE_URL_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_EMAIL_FIELD_NUMBER: _ClassVar[int]
    id: str
    clone_url: str
    default_branch: str
    forge: str
    forge_url: str
    author_name: str
    author_email: str
    def __init__(self, id: _Optional[str] = ..., clone_url: _Optional[str] = ..., default_branch: _Optional[str] = ..., forge: _Optional[str] = ..., forge_url: _Optional[str] = ..., author_name: _Optional[str] = ..., author_email: _Optional[str] = ...) -> None: ...

class Program(_message.Message):
    __slots__ = ("profile", "options", "gateway")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    profile: str
    options: str
    gateway: bool
    def __init__(self, profile: _Optional[str] = ..., options: _Optional[str] = ..., gateway: _Optional[bool] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "command", "timeout_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    command: str
    timeout_seconds: int
    def __init__(self, name: _Optional[str] = ..., command: _Optional[str] = ..., timeout_seconds: _Optional[int] = ...) -> None: ...

class StartExecution(_message.Message):
    __slots__ = ("repository", "base_branch", "branch", "title", "prompt", "program", "prepare", "round", "feedback", "plan", "idle_seconds", "adopted")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    BASE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    IDLE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ADOPTED_FIELD_NUMBER: _ClassVar[int]
    repository: Repository
    base_branch: str
    branch: str
    title: str
    prompt: str
    program: Program
    prepare: _containers.RepeatedCompositeFieldContainer[Check]
    round: int
    feedback: str
    plan: str
    idle_seconds: int
    adopted: Adopted
    def __init__(self, repository: _Optional[_Union[Repository, _Mapping]] = ..., base_branch: _Optional[str] = ..., branch: _Optional[str] = ..., title: _Optional[str] = ..., prompt: _Optional[str] = ..., program: _Optional[_Union[Program, _Mapping]] = ..., prepare: _Optional[_Iterable[_Union[Check, _Mapping]]] = ..., round: _Optional[int] = ..., feedback: _Optional[str] = ..., plan: _Optional[str] = ..., idle_seconds: _Optional[int] = ..., adopted: _Optional[_Union[Adopted, _Mapping]] = ...) -> None: ...

class Adopted(_message.Message):
    __slots__ = ("epoch", "branch", "commit", "summary")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    branch: str
    commit: str
    summary: str
    def __init__(self, epoch: _Optional[int] = ..., branch: _Optional[str] = ..., commit: _Optional[str] = ..., summary: _Optional[str] = ...) -> None: ...

class MakePlan(_message.Message):
    __slots__ = ("repository", "base_branch", "title", "prompt", "program", "feedback")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    BASE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    repository: Repository
    base_branch: str
    title: str
    prompt: str
    program: Program
    feedback: str
    def __init__(self, repository: _Optional[_Union[Repository, _Mapping]] = ..., base_branch: _Optional[str] = ..., title: _Optional[str] = ..., prompt: _Optional[str] = ..., program: _Optional[_Union[Program, _Mapping]] = ..., feedback: _Optional[str] = ...) -> None: ...

class RunVerification(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    def __init__(self, checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ...) -> None: ...

class CreatePullRequest(_message.Message):
    __slots__ = ("repository", "base_branch", "branch", "push_branch", "title", "body", "draft", "commit_message", "status")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    BASE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    PUSH_BRANCH_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    DRAFT_FIELD_NUMBER: _ClassVar[int]
    COMMIT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    repository: Repository
    base_branch: str
    branch: str
    push_branch: str
    title: str
    body: str
    draft: bool
    commit_message: str
    status: CommitStatus
    def __init__(self, repository: _Optional[_Union[Repository, _Mapping]] = ..., base_branch: _Optional[str] = ..., branch: _Optional[str] = ..., push_branch: _Optional[str] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., draft: _Optional[bool] = ..., commit_message: _Optional[str] = ..., status: _Optional[_Union[CommitStatus, _Mapping]] = ...) -> None: ...

class CommitStatus(_message.Message):
    __slots__ = ("state", "context", "description", "url")
    STATE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    state: str
    context: str
    description: str
    url: str
    def __init__(self, state: _Optional[str] = ..., context: _Optional[str] = ..., description: _Optional[str] = ..., url: _Optional[str] = ...) -> None: ...

class Cleanup(_message.Message):
    __slots__ = ("job_id", "epoch")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class KeepLateWork(_message.Message):
    __slots__ = ("repository", "base_branch", "branch", "push_branch", "commit_message")
    REPOSITORY_FIELD_NUMBER: _ClassVar[int]
    BASE_BRANCH_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    PUSH_BRANCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    repository: Repository
    base_branch: str
    branch: str
    push_branch: str
    commit_message: str
    def __init__(self, repository: _Optional[_Union[Repository, _Mapping]] = ..., base_branch: _Optional[str] = ..., branch: _Optional[str] = ..., push_branch: _Optional[str] = ..., commit_message: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("command_id", "job_id", "epoch", "seconds", "executed", "verified", "published", "cleaned", "planned", "failure", "cancelled")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    CLEANED_FIELD_NUMBER: _ClassVar[int]
    PLANNED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    job_id: str
    epoch: int
    seconds: float
    executed: Executed
    verified: Verified
    published: Published
    cleaned: Cleaned
    planned: Planned
    failure: Failure
    cancelled: Cancelled
    def __init__(self, command_id: _Optional[str] = ..., job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., seconds: _Optional[float] = ..., executed: _Optional[_Union[Executed, _Mapping]] = ..., verified: _Optional[_Union[Verified, _Mapping]] = ..., published: _Optional[_Union[Published, _Mapping]] = ..., cleaned: _Optional[_Union[Cleaned, _Mapping]] = ..., planned: _Optional[_Union[Planned, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., cancelled: _Optional[_Union[Cancelled, _Mapping]] = ...) -> None: ...

class Executed(_message.Message):
    __slots__ = ("changed", "commit", "summary", "exit_code", "files", "tokens", "ended_by")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ENDED_BY_FIELD_NUMBER: _ClassVar[int]
    changed: bool
    commit: str
    summary: str
    exit_code: int
    files: _containers.RepeatedCompositeFieldContainer[FileChange]
    tokens: Tokens
    ended_by: str
    def __init__(self, changed: _Optional[bool] = ..., commit: _Optional[str] = ..., summary: _Optional[str] = ..., exit_code: _Optional[int] = ..., files: _Optional[_Iterable[_Union[FileChange, _Mapping]]] = ..., tokens: _Optional[_Union[Tokens, _Mapping]] = ..., ended_by: _Optional[str] = ...) -> None: ...

class FileChange(_message.Message):
    __slots__ = ("path", "change", "added", "removed")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    path: str
    change: str
    added: int
    removed: int
    def __init__(self, path: _Optional[str] = ..., change: _Optional[str] = ..., added: _Optional[int] = ..., removed: _Optional[int] = ...) -> None: ...

class Tokens(_message.Message):
    __slots__ = ("input", "output")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    input: int
    output: int
    def __init__(self, input: _Optional[int] = ..., output: _Optional[int] = ...) -> None: ...

class Verified(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[CheckResult]
    def __init__(self, checks: _Optional[_Iterable[_Union[CheckResult, _Mapping]]] = ...) -> None: ...

class CheckResult(_message.Message):
    __slots__ = ("name", "exit_code", "seconds", "timed_out", "tail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    exit_code: int
    seconds: float
    timed_out: bool
    tail: str
    def __init__(self, name: _Optional[str] = ..., exit_code: _Optional[int] = ..., seconds: _Optional[float] = ..., timed_out: _Optional[bool] = ..., tail: _Optional[str] = ...) -> None: ...

class Published(_message.Message):
    __slots__ = ("url", "number", "commit", "branch", "updated")
    URL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    url: str
    number: int
    commit: str
    branch: str
    updated: bool
    def __init__(self, url: _Optional[str] = ..., number: _Optional[int] = ..., commit: _Optional[str] = ..., branch: _Optional[str] = ..., updated: _Optional[bool] = ...) -> None: ...

class Cleaned(_message.Message):
    __slots__ = ("freed_bytes",)
    FREED_BYTES_FIELD_NUMBER: _ClassVar[int]
    freed_bytes: int
    def __init__(self, freed_bytes: _Optional[int] = ...) -> None: ...

class Planned(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Cancelled(_message.Message):
    __slots__ = ("killed",)
    KILLED_FIELD_NUMBER: _ClassVar[int]
    killed: int
    def __init__(self, killed: _Optional[int] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("type", "cause", "remedy", "retryable")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    type: str
    cause: str
    remedy: str
    retryable: bool
    def __init__(self, type: _Optional[str] = ..., cause: _Optional[str] = ..., remedy: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("job_id", "epoch", "lines")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("seq", "at_ms", "stage", "level", "source", "text", "event", "gap")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    seq: int
    at_ms: int
    stage: str
    level: str
    source: str
    text: str
    event: str
    gap: int
    def __init__(self, seq: _Optional[int] = ..., at_ms: _Optional[int] = ..., stage: _Optional[str] = ..., level: _Optional[str] = ..., source: _Optional[str] = ..., text: _Optional[str] = ..., event: _Optional[str] = ..., gap: _Optional[int] = ...) -> None: ...

class LogAck(_message.Message):
    __slots__ = ("job_id", "epoch", "seq", "credit")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    seq: int
    credit: int
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., seq: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("agent", "session", "jobs")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    session: int
    jobs: _containers.RepeatedCompositeFieldContainer[RunningJob]
    def __init__(self, agent: _Optional[str] = ..., session: _Optional[int] = ..., jobs: _Optional[_Iterable[_Union[RunningJob, _Mapping]]] = ...) -> None: ...

class RenewReply(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[KeptJob]
    def __init__(self, jobs: _Optional[_Iterable[_Union[KeptJob, _Mapping]]] = ...) -> None: ...

class CredentialRequest(_message.Message):
    __slots__ = ("job_id", "epoch", "purpose", "host", "branch")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    purpose: str
    host: str
    branch: str
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., purpose: _Optional[str] = ..., host: _Optional[str] = ..., branch: _Optional[str] = ...) -> None: ...

class CredentialReply(_message.Message):
    __slots__ = ("username", "password", "expires_at_ms", "base_url", "push_branch")
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    PUSH_BRANCH_FIELD_NUMBER: _ClassVar[int]
    username: str
    password: str
    expires_at_ms: int
    base_url: str
    push_branch: str
    def __init__(self, username: _Optional[str] = ..., password: _Optional[str] = ..., expires_at_ms: _Optional[int] = ..., base_url: _Optional[str] = ..., push_branch: _Optional[str] = ...) -> None: ...

class ArtifactPart(_message.Message):
    __slots__ = ("job_id", "epoch", "name", "media_type", "content", "bytes", "sha256")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    epoch: int
    name: str
    media_type: str
    content: bytes
    bytes: int
    sha256: str
    def __init__(self, job_id: _Optional[str] = ..., epoch: _Optional[int] = ..., name: _Optional[str] = ..., media_type: _Optional[str] = ..., content: _Optional[bytes] = ..., bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class ArtifactKept(_message.Message):
    __slots__ = ("bytes", "sha256")
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    sha256: str
    def __init__(self, bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
