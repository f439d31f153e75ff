"""Every setting of Pavo: one nested object, read once at the entry point and handed down.

Each field names its environment variable; `docs/configuration.md` is checked against this module by a test.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from pavo.config_kept import ArtifactSettings as ArtifactSettings
from pavo.config_kept import SealingSettings as SealingSettings
from pavo.config_kept import UsageSettings as UsageSettings
from pavo.config_models import LlmSettings as LlmSettings
from pavo.config_section import COMMANDS, NOBODYS, Place, Section, listed, parse_commands, parse_networks
from pavo.config_tools import GatewaySettings as GatewaySettings
from pavo.config_tools import JobSettings as JobSettings
from pavo.config_tools import ToolSettings
from pavo.errors import ConfigurationError

PAVO_SECRETS: Final = frozenset(
    (
        "DATABASE_URL",
        "PAVO_ARTIFACTS_S3_ACCESS_KEY",
        "PAVO_ARTIFACTS_S3_SECRET_KEY",
        "PAVO_GATEWAY_TLS_KEY_PATH",
        "PAVO_LLM_API_KEY",
        "PAVO_READY_FD",
        "PAVO_SEALING_FORMER_KEYS",
        "PAVO_SEALING_KEY",
        "PAVO_SECRET_KEY",
        "PAVO_TEMPORAL_CODEC_KEY",
        "PAVO_TEMPORAL_CODEC_FORMER_KEYS",
        "PAVO_TEMPORAL_CODEC_TOKEN",
        "PAVO_TEMPORAL_DATABASE_URL",
        "PAVO_TOKEN",
        "PGPASSWORD",
        "REDISCLI_AUTH",
        "REDIS_URL",
        "TEMPORAL_API_KEY",
        "TEMPORAL_TLS_CLIENT_KEY_DATA",
        "TEMPORAL_TLS_CLIENT_KEY_PATH",
    )
)
"""Environment variables of Pavo alone, mostly secrets: no agent gets them, whoever names them."""
_WRITABLE: Final = ":rw"


class DatabaseSettings(Section):
    """PostgreSQL 14 or later."""

    url: str = Field(default="postgresql://localhost:5432/pavo", validation_alias="DATABASE_URL")
    """PostgreSQL URL of Pavo's own database."""
    pool_size: int = Field(default=20, ge=4, le=500, validation_alias="PAVO_DATABASE_POOL")
    """Connections of one pool at most: an API process has one pool, a worker two."""


class RedisSettings(Section):
    """Redis 6 or Valkey 7 and later."""

    url: str = Field(default="redis://localhost:6379/0", validation_alias="REDIS_URL")
    """URL of the server that carries the live stream, hints that make a stop quick, and which workers live."""


class TemporalSettings(Section):
    """The Temporal service; unset values come from Temporal's own environment configuration (envconfig)."""

    address: str | None = Field(default=None, validation_alias=AliasChoices("TEMPORAL_ADDRESS", "TEMPORAL_TARGET"))
    """host:port of the frontend; TEMPORAL_TARGET is an alias."""
    namespace: str | None = Field(default=None, validation_alias="TEMPORAL_NAMESPACE")
    """Namespace of the workflows."""
    task_queue: str = Field(default="orchestrator", validation_alias="TEMPORAL_TASK_QUEUE")
    """Task queue that workers poll."""
    ui_url: str = Field(default="", pattern=r"^(https?://[^\s]{1,500})?$", validation_alias="TEMPORAL_UI_URL")
    """Where people open Temporal's UI: what links to workflows begin with; empty: there is none."""
    api_key: SecretStr | None = Field(default=None, validation_alias="TEMPORAL_API_KEY")
    """API key of Temporal Cloud; switches TLS on."""
    tls: bool | None = Field(default=None, validation_alias="TEMPORAL_TLS")
    """Whether to use TLS; default: only with an API key or a certificate."""
    tls_server_name: str | None = Field(default=None, validation_alias="TEMPORAL_TLS_SERVER_NAME")
    """Name that the server's certificate has where it is reached by another one; for certificates from files."""
    tls_ca: Path | None = Field(default=None, validation_alias="TEMPORAL_TLS_SERVER_CA_CERT_PATH")
    """PEM file of the authority that signed the server's certificate."""
    tls_cert: Path | None = Field(default=None, validation_alias="TEMPORAL_TLS_CLIENT_CERT_PATH")
    """PEM file of the client's certificate (mutual TLS)."""
    tls_key: Path | None = Field(default=None, validation_alias="TEMPORAL_TLS_CLIENT_KEY_PATH")
    """PEM file of the client certificate's key."""
    codec_key: SecretStr | None = Field(default=None, validation_alias="PAVO_TEMPORAL_CODEC_KEY")
    """Base64 of 32 bytes: encrypts every payload that Temporal stores (AES-256-GCM), and what failures say."""
    codec_former_keys: SecretStr | None = Field(default=None, validation_alias="PAVO_TEMPORAL_CODEC_FORMER_KEYS")
    """Keys of before, separated by commas: what they encrypted can still be read; nothing new is encrypted by them."""
    codec_token: SecretStr | None = Field(default=None, validation_alias="PAVO_TEMPORAL_CODEC_TOKEN")
    """Token of at least 32 characters, with which Temporal's command line and UI have the API decrypt payloads, of all
    organisations; without it, it decrypts none. The API alone reads it."""
    search_attributes: bool = Field(default=False, validation_alias="PAVO_SEARCH_ATTRIBUTES")
    """Workflows carry PavoAgent and PavoTask (Keyword), which must be registered: the targets on PostgreSQL do that."""
    database_url: str | None = Field(default=None, validation_alias="PAVO_TEMPORAL_DATABASE_URL")
    """PostgreSQL URL of Temporal's own database, where it uses one: `pavo validate` counts what it holds."""


class HttpSettings(Section):
    """The API's listener and who may use it."""

    host: str = Field(default="127.0.0.1", validation_alias="PAVO_HOST")
    """Address to listen on; PAVO_AUTH=dev allows loopback only."""
    port: int = Field(default=8000, ge=0, le=65535, validation_alias="PAVO_PORT")
    """Port to listen on; 0 takes a free one."""
    share_port: bool = Field(default=False, validation_alias="PAVO_SHARE_PORT")
    """Several API processes listen on the same port, and the kernel spreads connections over them (Linux)."""
    auth: Literal["dev", "token"] = Field(default="dev", validation_alias="PAVO_AUTH")
    """dev: identity headers, loopback only. token: API tokens and session cookies."""
    secret_key: SecretStr | None = Field(default=None, validation_alias="PAVO_SECRET_KEY")
    """Signs session cookies, at least 32 characters; needed in token mode."""
    allow_file_origin: bool = Field(default=False, validation_alias="PAVO_ALLOW_FILE_ORIGIN")
    """Dev mode: also serve pages opened from disk (Origin: null)."""
    cors_origins: str = Field(default="", validation_alias="PAVO_CORS_ORIGINS")
    """Token mode: origins of other web pages that may call the API, separated by commas."""
    public_hosts: str = Field(default="", validation_alias="PAVO_PUBLIC_HOSTS")
    """Token mode: Host names that are served, separated by commas; empty serves any."""
    temporal_ui: str | None = Field(default=None, validation_alias="PAVO_TEMPORAL_UI_URL")
    """URL of Temporal's own UI, linked from the pages."""


class LimitSettings(Section):
    """What clients of the API may take, each and together."""

    per_address: int = Field(default=1_000, ge=1, validation_alias="PAVO_CONNECTIONS_PER_ADDRESS")
    """Connections from one address at most; PAVO_PROXIES are not counted."""
    proxies: str = Field(default="127.0.0.1,::1", validation_alias="PAVO_PROXIES")
    """Addresses of reverse proxies, separated by commas: many people's connections come from them."""
    send_seconds: float = Field(default=30.0, ge=1, le=3600, validation_alias="PAVO_SEND_SECONDS")
    """A client that takes nothing of its answer or stream for so long is cut off."""
    unsent_mb: int = Field(default=64, ge=1, validation_alias="PAVO_UNSENT_MB")
    """MB of answers that clients have not taken yet, in all; beyond it the slowest are cut off."""
    viewer_kb: int = Field(default=256, ge=1, validation_alias="PAVO_VIEWER_KB")
    """KB of events that wait for one viewer; beyond it the viewer gets them from PostgreSQL, when it gets to them."""
    viewers_mb: int = Field(default=128, ge=1, validation_alias="PAVO_VIEWERS_MB")
    """MB of events that wait for viewers, in all; beyond it the slowest streams are ended, to go on where they were."""


class ExecutionSettings(Section):
    """How a worker executes steps."""

    progress_steps: int = Field(
        default=50, ge=1, le=10_000, validation_alias=AliasChoices("PAVO_PROGRESS_STEPS", "PAVO_BATCH_STEPS")
    )
    """After so many steps viewers get an event `progress`."""
    turn_seconds: float = Field(
        default=30.0, gt=0, le=3600, validation_alias=AliasChoices("PAVO_TURN_SECONDS", "PAVO_BATCH_SECONDS")
    )
    """How long a task keeps its slot on a worker while others wait for one."""
    max_tasks: int = Field(default=100, ge=1, le=10_000, validation_alias="PAVO_WORKER_TASKS")
    """Tasks of one agent and organisation that one worker works on at once; of all together up to twice as many, so
    that steps that hang leave room for others."""
    max_plans: int | None = Field(default=None, ge=1, le=10_000, validation_alias="PAVO_WORKER_PLANS")
    """Plans that wait for review afterwards, and revisions, that one worker makes at once for one agent and
    organisation, beside the tasks that it executes; of all together up to twice as many. Default: as many as
    PAVO_WORKER_TASKS."""
    max_activities: int | None = Field(default=None, ge=1, le=10_000, validation_alias="PAVO_WORKER_ACTIVITIES")
    """Activities that run agents and their tools, executions and plans together, that one worker executes at once; 1:
    one at a time. Pavo's own short writes do not count. Default: as PAVO_WORKER_TASKS and PAVO_WORKER_PLANS say."""
    parked_agents: int = Field(default=8, ge=0, le=10_000, validation_alias="PAVO_WORKER_PARKED")
    """Agents, and their processes, that a worker keeps open at once while their tasks wait for a slot again."""
    agent_memory_mb: int = Field(default=2048, ge=64, validation_alias="PAVO_AGENT_MEMORY_MB")
    """Memory of an isolated agent's process, in MiB."""
    agent_silence_seconds: float = Field(default=60.0, gt=0, validation_alias="PAVO_AGENT_SILENCE_SECONDS")
    """An isolated agent that does not yield to its event loop for so long counts as dead, unless it declares a limit of
    its own; after 10 s the log warns."""
    deployment: str = Field(default="pavo", pattern=r"^[^.:\s]{1,100}$", validation_alias="PAVO_WORKER_DEPLOYMENT")
    """Name of Temporal's worker deployment that a worker with a build id belongs to."""
    build_id: str = Field(default="", pattern=r"^[^:\s]{0,200}$", validation_alias="PAVO_WORKER_BUILD_ID")
    """Version of the worker: tasks stay with it until they continue as new; empty runs unversioned."""


class AgentSettings(Section):
    """What the processes of isolated agents have and may reach."""

    environment: str = Field(default="", validation_alias="PAVO_AGENT_ENVIRONMENT")
    """Environment variables that isolated agents get beside the usual ones (PATH, LANG, proxies, certificates),
    separated by commas: OPENAI_API_KEY, …"""
    paths: str = Field(default="", validation_alias="PAVO_AGENT_PATHS")
    """Files and folders that isolated agents may read beside code and the system's, separated by commas; those that end
    with :rw they may also write: /models,/data:rw."""
    confinement: Literal["available", "required", "landlock", "user", "both", "off"] = Field(
        default="available", validation_alias="PAVO_AGENT_CONFINEMENT"
    )
    """available: isolated agents are confined as well as the system can: by Landlock, and by users of their own where
    the worker is root. required: a worker that can neither runs none. landlock, user, both: these, or it runs none.
    off: they may read and write what the worker's user may."""
    uids: str = Field(default="1900000000-1999999999", validation_alias="PAVO_AGENT_UIDS")
    """Users that isolated agents may be where the worker is root, one for each task: FIRST-LAST. No account may have
    one of them."""
    folders: Place = Field(default=None, validation_alias="PAVO_AGENT_FOLDERS")
    """Where each task of an isolated agent has a working folder of its own, until it is deleted; default: agents in
    PAVO_DATA_DIR (in /var/lib/pavo/agents where they are users of their own), else a folder for temporary files."""
    data_dir: Place = Field(default=None, validation_alias="PAVO_DATA_DIR")
    """Data directory of the stack, for the command line (see pavo up --help) and for workers: no isolated agent reads
    it."""

    commands: str = Field(default="", validation_alias=COMMANDS)
    """Programs that the agent command may run, by name, as JSON: {"crunch": ["/opt/crunch/run", "--json"]}. No secrets:
    agents' processes have it."""

    @field_validator("commands")
    @classmethod
    def _are_commands(cls, value: str) -> str:
        parse_commands(value)
        return value

    @field_validator("environment")
    @classmethod
    def _are_names(cls, value: str) -> str:
        secret = [name for name in listed(value) if name in PAVO_SECRETS]
        if secret:
            raise ValueError(f"agents do not get {', '.join(secret)}, for it is Pavo's own")
        return value

    @field_validator("paths")
    @classmethod
    def _are_absolute(cls, value: str) -> str:
        for each in listed(value):
            if not each.startswith("/"):
                raise ValueError(f"{each} does not begin with /")
        return value

    @field_validator("uids")
    @classmethod
    def _is_a_range(cls, value: str) -> str:
        found = re.fullmatch(r"([1-9]\d{0,9})-([1-9]\d{0,9})", value)
        if found is None or not int(found[1]) <= int(found[2]) < 2**32 - 1:
            raise ValueError("it is not FIRST-LAST, such as 1900000000-1999999999")
        return value

    @property
    def uid_range(self) -> range:
        """`uids`, parsed."""
        first, last = self.uids.split("-")
        return range(int(first), int(last) + 1)

    @property
    def names(self) -> tuple[str, ...]:
        """`environment`, parsed, and what agents that Pavo brings read."""
        return (*listed(self.environment), *([COMMANDS] if self.commands else []))

    @property
    def readable(self) -> tuple[str, ...]:
        """Of `paths`, those that may only be read."""
        return tuple(each for each in listed(self.paths) if not each.endswith(_WRITABLE))

    @property
    def writable(self) -> tuple[str, ...]:
        """Of `paths`, those that may be written."""
        return tuple(each.removesuffix(_WRITABLE) for each in listed(self.paths) if each.endswith(_WRITABLE))


class WebhookSettings(Section):
    """What webhooks may reach; the API and the workers need the same."""

    networks: str = Field(default="", validation_alias="PAVO_WEBHOOK_NETWORKS")
    """Networks that webhooks may reach though they are not public, also by http://: 10.0.0.0/8, …, separated by commas;
    empty: public addresses alone."""
    attempt_seconds: float = Field(default=10.0, ge=1, le=60, validation_alias="PAVO_WEBHOOK_SECONDS")
    """Seconds that a webhook's receiver has for an answer."""

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        parse_networks(value)
        return value

    @property
    def allowed_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`networks`, parsed."""
        return parse_networks(self.networks)


class LoggingSettings(Section):
    """Log lines on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", validation_alias="PAVO_LOG_LEVEL")
    """Least severity that is written."""
    format: Literal["text", "json"] = Field(default="text", validation_alias="PAVO_LOG_FORMAT")
    """text for people, json for machines."""


class MetricsSettings(Section):
    """The page for Prometheus."""

    enabled: bool = Field(default=True, validation_alias="PAVO_METRICS")
    """Whether /metrics is served: by the API on its own port, by a worker only with PAVO_METRICS_ADDRESS."""
    address: str | None = Field(default=None, validation_alias="PAVO_METRICS_ADDRESS")
    """host:port on which this process serves /metrics; the API then serves it there only. Processes that share the
    setting take the next free ports; port 0 takes any."""


class TracesSettings(Section):
    """Spans by OpenTelemetry; its other variables (headers, sampler, service name, time-outs) hold as they are."""

    endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Base URL of an OpenTelemetry collector that takes OTLP over HTTP, usually on port 4318; empty: no traces."""
    traces_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    """The same for traces alone, with the path (/v1/traces); it wins."""
    disabled: bool = Field(default=False, validation_alias="OTEL_SDK_DISABLED")
    """No traces whatever else is set."""

    @property
    def target(self) -> str | None:
        """The URL that spans are sent to; None where they are not wanted."""
        if self.disabled or not (self.traces_endpoint or self.endpoint):
            return None
        return self.traces_endpoint or f"{(self.endpoint or '').rstrip('/')}/v1/traces"


class Settings(BaseSettings):
    """All sections. Build it with `load()`."""

    model_config = SettingsConfigDict(frozen=True, env_prefix=NOBODYS)

    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    temporal: TemporalSettings = Field(default_factory=TemporalSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    sealing: SealingSettings = Field(default_factory=SealingSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    execution: ExecutionSettings = Field(default_factory=ExecutionSettings)
    agents: AgentSettings = Field(default_factory=AgentSettings)
    tools: ToolSettings = Field(default_factory=ToolSettings)
    jobs: JobSettings = Field(default_factory=JobSettings)
    artifacts: ArtifactSettings = Field(default_factory=ArtifactSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    usage: UsageSettings = Field(default_factory=UsageSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    traces: TracesSettings = Field(default_factory=TracesSettings)


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment.

    Args:
        environment: another one than this process's own.

    Raises:
        ConfigurationError: a variable has a value that its field does not take; `field` names the variable.
    """
    try:
        return Settings() if environment is None else _of(environment)
    except ValidationError as error:
        first = error.errors()[0]
        variable = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{variable}: {first['msg']} (got {first['input']!r}).",
            field=variable,
            remedy=f"Correct the environment variable {variable}, or unset it for the default.",
        ) from error


def _of(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment that is not ours: every field is given, so that ours is asked for none."""
    sections: dict[str, Any] = {}
    for name, section in _sections().items():
        given: dict[str, Any] = {}
        for field in section.model_fields.values():
            names = _names(field)
            default = field.get_default(call_default_factory=True)
            given[names[0]] = next((environment[each] for each in names if each in environment), default)
        sections[name] = section(**given)
    return Settings(**sections)


def _sections() -> dict[str, type[BaseSettings]]:
    return {name: cast("type[BaseSettings]", field.default_factory) for name, field in Settings.model_fields.items()}


def variables() -> list[str]:
    """Every variable that a field is read from."""
    return [
        name for section in _sections().values() for field in section.model_fields.values() for name in _names(field)
    ]


def _names(field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]
