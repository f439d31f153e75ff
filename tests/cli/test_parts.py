"""`pavo api` and `pavo worker` say what keeps them from starting, its remedy, and exit as documented."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping

import pytest
import uvicorn
from fastapi import FastAPI
from tests.parts import free_port

from pavo import api, config
from pavo.bootstrap import build_redis
from pavo.config import HttpSettings, LimitSettings, RedisSettings, Settings
from pavo.errors import ConfigurationError, Conflict
from pavo.kit.listening.connections import Connections

NOBODY = "127.0.0.1:1"
BOTH = ("api", "worker")
TOKEN = {"PAVO_AUTH": "token", "PAVO_SECRET_KEY": "s" * 32}


def refused(part: str, environment: Mapping[str, str], expect: int) -> str:
    """What a part says that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "pavo.cli.main", part],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == expect, said
    assert "Error:" in said and "→" in said and "Traceback" not in said
    return said


@pytest.mark.parametrize("part", BOTH)
@pytest.mark.parametrize(
    ("variable", "value", "expect", "named"),
    [
        ("TEMPORAL_ADDRESS", NOBODY, 5, NOBODY),
        ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere.pem", 2, "'/nowhere.pem'"),
        ("PAVO_TEMPORAL_CODEC_KEY", "short", 2, "PAVO_TEMPORAL_CODEC_KEY"),
        ("DATABASE_URL", "mysql://localhost/pavo", 2, "DATABASE_URL"),
        ("REDIS_URL", "foo", 2, "REDIS_URL"),
    ],
)
def test_what_is_wrong_is_named(
    part: str, variable: str, value: str, expect: int, named: str, environment: dict[str, str]
) -> None:
    assert named in refused(part, {**environment, "PAVO_PORT": "0", variable: value}, expect)


def test_a_missing_namespace_is_named(environment: dict[str, str]) -> None:
    said = refused("worker", {**environment, "TEMPORAL_NAMESPACE": "nowhere"}, 2)
    assert "TEMPORAL_NAMESPACE" in said and "nowhere" in said


@pytest.mark.parametrize("shared", ["false", "true"])
def test_a_taken_port_is_named(environment: dict[str, str], shared: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused("api", {**environment, "PAVO_PORT": port, "PAVO_SHARE_PORT": shared}, 4)
    assert port in said and "PAVO_PORT" in said


def test_a_port_taken_between_binding_and_listening_is_named() -> None:
    """Two APIs that start at once both bind the port; only one of them can listen on it."""
    http, app = HttpSettings(port=free_port()), FastAPI()
    listeners, (other,) = api._bind(http), api._bind(http)
    connections = Connections(api._limits(LimitSettings()))
    with other, pytest.raises(Conflict, match=str(http.port)):
        other.listen()
        api._Server(uvicorn.Config(app, log_config=None), app, http, connections).run(sockets=listeners)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_a_bad_host_is_named(environment: dict[str, str], host: str) -> None:
    said = refused("api", {**environment, **TOKEN, "PAVO_PORT": "0", "PAVO_HOST": host}, 2)
    assert host in said and "PAVO_HOST" in said


@pytest.mark.parametrize("url", ["foo", "redis://:secret/word@host:6379", "redis://host?nonsense=1"])
def test_a_wrong_redis_url_is_refused_without_its_password(url: str) -> None:
    settings: Settings = config.Settings(redis=RedisSettings(url=url))
    with pytest.raises(ConfigurationError) as refusal:
        build_redis(settings)
    assert refusal.value.field == "REDIS_URL" and refusal.value.remedy
    assert "secret" not in refusal.value.detail
