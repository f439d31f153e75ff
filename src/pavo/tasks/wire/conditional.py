"""Answers that need not be sent again: entity tags, as RFC 9110 (8.8.3, 13.1.2) has them."""

import hashlib

from fastapi import Request, Response

TAG_LENGTH = 32
"""Digits of the hash: 128 bits, which no two answers share."""


def json_unless_seen(request: Request, body: bytes) -> Response:
    """This JSON with its entity tag; 304 without a body where `If-None-Match` names that tag."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:TAG_LENGTH]}"'
    seen = request.headers.get("if-none-match", "")
    # A proxy that compresses makes the tag a weak one: W/"…".
    if etag in seen:
        return Response(status_code=304, headers={"ETag": etag})
    return Response(body, media_type="application/json", headers={"ETag": etag})
