"""Tokens for the stream: short-lived, signed by the service, fit to stand in a query."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import asdict

from .auth import Identity

_PREFIX = "dst1_"
_LEAST_SECRET_BYTES = 32


class StreamTokens:
    """Makes and reads tokens that stand for an identity until they expire.

    They are signed with `secret`, which all processes of a service must share; without one, this process makes its own.
    """

    def __init__(self, secret: bytes | None, *, seconds: int) -> None:
        if secret is not None and len(secret) < _LEAST_SECRET_BYTES:
            raise ValueError(f"`stream_secret` has at least {_LEAST_SECRET_BYTES} bytes")
        self._secret = secrets.token_bytes(_LEAST_SECRET_BYTES) if secret is None else secret
        self._seconds = seconds

    def issue(self, identity: Identity) -> str:
        """Makes a token for this caller."""
        fields = asdict(identity) | {"roles": sorted(identity.roles), "until": time.time() + self._seconds}
        text = _encode(json.dumps(fields).encode())
        return f"{_PREFIX}{text}.{_encode(self._sign(text))}"

    def read(self, token: str) -> Identity | None:
        """Reads whose token it is; None for one that is not ours, was changed, or has expired."""
        if not token.startswith(_PREFIX):
            return None
        text, _, signature = token.removeprefix(_PREFIX).partition(".")
        if not hmac.compare_digest(self._sign(text), _decode(signature)):
            return None
        fields = json.loads(_decode(text))
        if fields.pop("until") <= time.time():
            return None
        return Identity(**fields | {"roles": frozenset(fields["roles"])})

    def _sign(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode(), hashlib.sha256)


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
