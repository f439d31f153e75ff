"""Decrypts payloads for Temporal's UI and command line: `decode` of Temporal's codec server protocol.

Its clients are Temporal's own, so it stands in no description of Pavo's API. Payloads are of all organisations: who has
the deployment's token (PAVO_TEMPORAL_CODEC_TOKEN) may read them all, and no token of a user opens anything here.
"""

import base64
import hmac
import logging
from typing import Annotated, Final, TypeAlias

from cryptography.exceptions import InvalidTag
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import PayloadCodec

from pavo.accounts.origin import DECODE
from pavo.accounts.security import bearer
from pavo.config import TemporalSettings
from pavo.errors import BadRequest, Forbidden, NotAuthenticated, NotFound, TooLarge
from pavo.temporal.client import CODEC_TOKEN, codec_token

logger = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False)

MAX_PAYLOADS: Final = 1_000
"""Of one request. The UI and the command line send those of one event at a time."""
MAX_REASONS: Final = 3
"""Different ones, in one line of the log."""


_STANDARD: Final = str.maketrans("-_", "+/")


def _from_base64(text: object) -> bytes:
    """Bytes as JSON of protocol buffers has them: of either alphabet, padded or not."""
    if not isinstance(text, str):
        raise ValueError("it is no text in Base64")
    plain = text.translate(_STANDARD).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise ValueError("it is no Base64") from error


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


Base64: TypeAlias = Annotated[bytes, BeforeValidator(_from_base64), PlainSerializer(_to_base64)]


class EncodedPayload(BaseModel):
    """A payload in JSON. Members that are not known here come back as they are."""

    model_config = ConfigDict(extra="allow")

    metadata: dict[str, Base64] = Field(default_factory=dict[str, bytes])
    data: Base64 = b""


class EncodedPayloads(BaseModel):
    """What is sent, and what is answered."""

    payloads: list[EncodedPayload] = Field(default_factory=list[EncodedPayload], max_length=MAX_PAYLOADS)


@router.post(DECODE)
async def decode_payloads(request: Request) -> Response:
    """The payloads, decrypted where this deployment has the key; the others as they were, and the log tells why."""
    _authorise(request, request.app.state.settings.temporal)
    temporal: Client = request.app.state.parts.temporal
    asked = request.headers.get("x-namespace")
    if asked != temporal.namespace:
        raise Forbidden(
            f"Only payloads of the namespace {temporal.namespace} are decrypted here.",
            field="X-Namespace",
            remedy=f"Send X-Namespace: {temporal.namespace}, as temporal --namespace {temporal.namespace} does.",
        )
    sent = _read(await request.body())
    codec = temporal.data_converter.payload_codec
    opened = EncodedPayloads(payloads=await _opened(codec, sent.payloads))
    return Response(
        opened.model_dump_json(exclude_unset=True), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _authorise(request: Request, settings: TemporalSettings) -> None:
    token = codec_token(settings)
    if not token:
        raise NotFound("This API decrypts no payloads.", remedy=f"Set {CODEC_TOKEN} for it, and start it again.")
    given = bearer(request.scope) or ""
    if not hmac.compare_digest(given.encode("latin-1"), token.encode()):
        raise NotAuthenticated(
            "Payloads of all organisations are decrypted for the deployment's own token alone.",
            field="Authorization",
            remedy=f"Send Authorization: Bearer, with the value of {CODEC_TOKEN}.",
        )


def _read(body: bytes) -> EncodedPayloads:
    try:
        return EncodedPayloads.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "too_long":
        raise TooLarge(
            f"There are more than {MAX_PAYLOADS:,} payloads.", field="payloads", remedy="Send fewer at once."
        )
    field = ".".join(str(part)[:100] for part in first["loc"]) or "body"
    raise BadRequest(
        f"{field}: {first['msg'].removeprefix('Value error, ')}.",
        field=field,
        remedy="Send Temporal's Payloads as JSON: metadata and data in Base64.",
    )


async def _opened(codec: PayloadCodec | None, sent: list[EncodedPayload]) -> list[EncodedPayload]:
    if codec is None:
        return sent
    opened, reasons = list[EncodedPayload](), list[str]()
    for each in sent:
        try:
            opened.append(await _decrypted(codec, each))
        except InvalidTag as error:
            opened.append(each)
            reasons.append(str(error))
    if reasons:
        told = " ".join([*dict.fromkeys(reasons)][:MAX_REASONS])
        logger.warning("%s of %s payloads are shown encrypted. %s", len(reasons), len(sent), told)
    return opened


async def _decrypted(codec: PayloadCodec, sent: EncodedPayload) -> EncodedPayload:
    payload = Payload(metadata=sent.metadata, data=sent.data)
    [opened] = await codec.decode([payload])
    if opened is payload:
        return sent
    return EncodedPayload.model_construct(metadata=dict(opened.metadata), data=opened.data)
