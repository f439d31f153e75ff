"""Connecting to Temporal from Pavo's settings and, beneath them, Temporal's own environment configuration."""

import base64
import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from temporalio.client import Client, Interceptor, TLSConfig
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import Runtime

from pavo.config import TemporalSettings
from pavo.errors import ConfigurationError, Unavailable
from pavo.temporal.codec import FORMER_KEYS, EncryptingCodec

CA_PATH: Final = "TEMPORAL_TLS_SERVER_CA_CERT_PATH"
CERT_PATH: Final = "TEMPORAL_TLS_CLIENT_CERT_PATH"
KEY_PATH: Final = "TEMPORAL_TLS_CLIENT_KEY_PATH"
CODEC_TOKEN: Final = "PAVO_TEMPORAL_CODEC_TOKEN"


async def connect(
    settings: TemporalSettings,
    *,
    runtime: Runtime | None = None,
    interceptors: Sequence[Interceptor] = (),
    identity: str | None = None,
    lazy: bool = False,
) -> Client:
    """A client of the configured namespace.

    Args:
        runtime: the SDK's runtime, where its default one will not do.
        interceptors: for the client and for every worker on it.
        identity: what Temporal calls this client and its workers; default: process id and host.
        lazy: it connects when it is used first; no worker can be built on it.

    Raises:
        ConfigurationError: a certificate, a key or Temporal's own configuration file cannot be read.
        Unavailable: nobody answers at the address.
    """
    config = _from_environment()
    address = settings.address or config.get("target_host") or "localhost:7233"
    namespace = settings.namespace or config.get("namespace") or "default"
    api_key = settings.api_key.get_secret_value() if settings.api_key else config.get("api_key")
    tls = _tls(settings)
    try:
        return await Client.connect(
            address,
            namespace=namespace,
            api_key=api_key,
            tls=tls if tls is not None else config.get("tls", bool(api_key)),
            rpc_metadata=config.get("rpc_metadata", {}),
            data_converter=data_converter(settings),
            runtime=runtime,
            interceptors=interceptors,
            identity=identity,
            lazy=lazy,
        )
    except RuntimeError as error:
        raise Unavailable(f"Temporal cannot be reached at {address}: {error}", dependency="temporal") from error


async def connect_to(addresses: Mapping[str, str]) -> Client:
    """A client that sends and reads no payloads, of the server that these variables name, and of no other.

    Args:
        addresses: TEMPORAL_ADDRESS, and the paths of certificates where it wants them.

    Raises:
        ConfigurationError: a certificate cannot be read.
        RuntimeError: nobody answers.
    """
    ca, cert, key = (Path(addresses[name]) if addresses.get(name) else None for name in (CA_PATH, CERT_PATH, KEY_PATH))
    tls = _certificates(ca, cert, key)
    return await Client.connect(addresses["TEMPORAL_ADDRESS"], tls=tls or False)


def _from_environment() -> ClientConnectConfig:
    try:
        return ClientConfig.load_client_connect_config()
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"Temporal's own configuration cannot be used: {error}.",
            field="TEMPORAL_",
            remedy="Correct the TEMPORAL_ variables and the file that TEMPORAL_CONFIG_FILE names.",
        ) from error


def data_converter(settings: TemporalSettings) -> DataConverter:
    """JSON payloads, encrypted where a key is configured; then failures' messages and stack traces are encrypted
    too."""
    if settings.codec_key is None:
        return DataConverter.default
    key = _codec_keys("PAVO_TEMPORAL_CODEC_KEY", settings.codec_key.get_secret_value())[0]
    kept = settings.codec_former_keys.get_secret_value() if settings.codec_former_keys else ""
    codec = EncryptingCodec(key, _codec_keys(FORMER_KEYS, *filter(None, kept.split(","))))
    # Codecs see payloads only: this converter moves messages and stack traces of failures into one.
    failures = DefaultFailureConverterWithEncodedAttributes
    return dataclasses.replace(DataConverter.default, payload_codec=codec, failure_converter_class=failures)


def codec_token(settings: TemporalSettings) -> str:
    """The token for which the API decrypts payloads; empty where it decrypts none.

    Raises:
        ConfigurationError: it could be guessed, or no header can carry it.
    """
    token = settings.codec_token.get_secret_value() if settings.codec_token else ""
    if token and not re.fullmatch(r"[!-~]{32,}", token):
        raise ConfigurationError(
            f"{CODEC_TOKEN} has fewer than 32 characters, or others than letters, digits and signs of ASCII.",
            field=CODEC_TOKEN,
            remedy="Make one with: openssl rand -hex 32",
        )
    return token


def _codec_keys(variable: str, *texts: str) -> list[bytes]:
    try:
        keys = [base64.b64decode(text.strip(), validate=True) for text in texts]
        for key in keys:
            EncryptingCodec(key)
    except ValueError as error:
        raise ConfigurationError(
            f"{variable} is no key: {error}.",
            field=variable,
            remedy="Set it to the Base64 of 32 random bytes: openssl rand -base64 32",
        ) from error
    return keys


def _tls(settings: TemporalSettings) -> TLSConfig | bool | None:
    found = _certificates(settings.tls_ca, settings.tls_cert, settings.tls_key, settings.tls_server_name)
    return found if found is not None else settings.tls


def _certificates(ca: Path | None, cert: Path | None, key: Path | None, name: str | None = None) -> TLSConfig | None:
    if not (ca or cert or key):  # a name alone is left to the environment configuration, which knows more ways
        return None
    return TLSConfig(
        domain=name,
        server_root_ca_cert=_read(ca, CA_PATH),
        client_cert=_read(cert, CERT_PATH),
        client_private_key=_read(key, KEY_PATH),
    )


def _read(path: Path | None, variable: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{variable}: {error}.", field=variable, remedy="Point it to a PEM file that this user can read."
        ) from error
