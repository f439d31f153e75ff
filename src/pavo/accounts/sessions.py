"""Session cookies: signed statements of who somebody is, which end with the token that opened them."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any, Final, Literal

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from pavo.accounts.domain import Session

SESSION_SECONDS: Final = 12 * 3600
"""A working day: nobody logs in twice in it, and a browser that was left open does not stay logged in for long."""

MAX_COOKIE: Final = 4096
"""No cookie of ours comes near it (RFC 6265, section 6.1, asks browsers for this much)."""


class SessionSigner:
    """Writes and reads session cookies (JWT, HS256).

    Args:
        secret: any text; the signing key is its SHA-256.
        mode: the mode of authentication. A cookie of one mode is worthless in the other: in dev mode anybody gets
            a cookie for any address.
    """

    def __init__(self, secret: str, mode: Literal["dev", "token"]) -> None:
        self._key = OctKey.import_key(hashlib.sha256(b"pavo session\0" + secret.encode()).digest())
        self._mode = mode
        self._claims = jwt.JWTClaimsRegistry(sub={"essential": True}, aud={"essential": True, "value": mode})

    def write(self, session: Session, at: datetime) -> str:
        """The cookie's value.

        Args:
            at: when the session begins, by PostgreSQL's clock.
        """
        issued = int(at.timestamp())
        claims: dict[str, Any] = {
            "sub": str(session.user_id),
            "aud": self._mode,
            "iat": issued,
            "exp": issued + SESSION_SECONDS,
        }
        if session.token_id is not None:
            claims["tid"] = str(session.token_id)
        return jwt.encode({"alg": "HS256"}, claims, self._key)

    def read(self, cookie: str) -> Session | None:
        """What the cookie says, or None if it is not ours, was changed or is from the other mode.

        Whether it has ended is not judged here: `until` is for PostgreSQL's clock.
        """
        if len(cookie) > MAX_COOKIE:
            return None
        try:
            claims = jwt.decode(cookie, self._key, algorithms=["HS256"]).claims
            # Without the moments: the registry would judge them by this machine's clock.
            self._claims.validate({name: claims.get(name) for name in ("sub", "aud")})
            token_id = claims.get("tid")
            until = datetime.fromtimestamp(int(str(claims["exp"])), UTC)
            opened_by = None if token_id is None else uuid.UUID(str(token_id))
            session = Session(uuid.UUID(str(claims["sub"])), opened_by, until)
        except (JoseError, KeyError, TypeError, ValueError, OverflowError):
            return None
        return None if session.token_id is None and self._mode == "token" else session
