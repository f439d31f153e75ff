"""Why a gateway is not reached, in words that say what to do."""

from dataclasses import dataclass
from typing import Any, Final

import grpc

from pavo.errors import Unavailable
from pavo.protocol.limits import MAX_MESSAGE_BYTES


class NotConnected(Unavailable):
    """The gateway is not reached; the remedy says why that may be. It is tried again."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail, dependency="gateway", remedy=remedy)


class Refused(NotConnected):
    """The gateway is reached, and will not have this agent: trying again is useless."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A text by which gRPC tells something."""

    text: str
    detail: str
    remedy: str


_BY_TEXT: Final = (
    _Known(
        "missing selected alpn",
        "Something between here and the gateway opens TLS and speaks HTTP/1.1 alone.",
        "Have the proxy that inspects TLS leave the gateway's host alone, or name one in https_proxy that does.",
    ),
    _Known(
        "certificate_verify_failed",
        "The gateway's certificate was not issued by an authority that is trusted here.",
        "Give --ca the certificate of the deployment's authority; where that was given, somebody else answers, such as "
        "a proxy that inspects TLS, or the authority was replaced.",
    ),
    _Known(
        "hostname verification",
        "The gateway's certificate is for another name.",
        "Use the name in --url that the certificate was made for.",
    ),
    _Known("peer name", "The gateway's certificate is for another name.", "Use the name that it was made for."),
    _Known(
        "wrong_version_number",
        "What answers there speaks no TLS.",
        "Look whether --url names the gateway's port; a gateway without a certificate is reached by http, on its own "
        "machine alone.",
    ),
    _Known(
        "proxy returned",
        "The proxy refused to connect to the gateway.",
        "Look at https_proxy and no_proxy, and whether the proxy allows CONNECT to that host and port.",
    ),
    _Known(
        "larger than max",
        f"A message is larger than the protocol's {MAX_MESSAGE_BYTES:,} bytes.",
        "Upgrade the older of agent program and deployment.",
    ),
    _Known(
        "dns resolution failed",
        "The gateway's name cannot be resolved.",
        "Look at the host of --url and at this machine's name servers.",
    ),
    _Known(
        "socket closed",
        "What answers there closes the connection.",
        "Where it goes on: a gateway with a certificate is reached by https://, not by http://; or something between "
        "here and the gateway lets nobody through.",
    ),
    _Known(
        "connection refused",
        "Nothing listens there.",
        "Look at the port of --url, and whether `pavo gateway` runs.",
    ),
    _Known(
        "handshake",
        "No TLS connection comes about.",
        "Look at --ca and --url; `pavo agent doctor` tells more.",
    ),
    _Known(
        "trying to connect an http1.x server",
        "What answers there speaks no gRPC.",
        "Look whether --url names the gateway and not the API.",
    ),
)
_REFUSALS: Final = (
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
)
"""Of a gateway that says what to do."""
_BY_CODE: Final = {
    grpc.StatusCode.UNIMPLEMENTED: ("What answers there is no gateway of Pavo.", "Look whether --url names it."),
    grpc.StatusCode.DEADLINE_EXCEEDED: ("The gateway did not answer in time.", "Look at the network between."),
}


def explained(error: Any, target: str) -> NotConnected:
    """What a call's error means.

    Args:
        error: a grpc.aio.AioRpcError.
        target: host and port.
    """
    code, told = error.code(), str(error.details() or "")
    if code == grpc.StatusCode.UNAUTHENTICATED:
        return Refused(
            f"The gateway at {target} does not take the token: {told[:300]}",
            "Make one by `pavo agent token create`; one that was revoked stays so.",
        )
    if code in _REFUSALS:
        return Refused(f"The gateway at {target} refuses this agent: {told[:300]}", "Do what it says.")
    low = told.lower()
    for known in _BY_TEXT:
        if known.text in low:
            return NotConnected(f"{known.detail} ({target}: {told[:300]})", known.remedy)
    detail, remedy = _BY_CODE.get(
        code, ("The gateway is not reached.", "Look whether it runs, and at the network between.")
    )
    return NotConnected(f"{detail} ({target}: {told[:300] or code.name})", remedy)
