"""Who calls: tokens, what they stand for, and the hook of the platform's router."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drawdown.fastapi import OPERATOR, Identity
from fastapi import HTTPException
from starlette.requests import HTTPConnection

from .people import People

Kind = Literal["user", "operator", "worker"]

# What a user's own token may ask of the platform. Everything else there moves credit for work, and is the worker's to
# say: a user could commit a pre-deduct of 20 for 0.
_OF_USERS = ("/credits/estimate", "/credits/balance", "/credits/ledger", "/licenses/check")
_TASKS = "/api/v1/tasks/"


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a token stands for."""

    name: str
    kind: Kind


class Tokens:
    """The tokens of everyone who may call."""

    def __init__(self, tenant_id: str, people: People, by_name: dict[str, str]) -> None:
        """Take a token for each person.

        Raises `ValueError` when one is missing, shorter than 20 characters, or that of another.
        """
        everyone = [Person(name, "user") for name in people.users]
        everyone += [Person(people.operator, "operator"), Person(people.worker, "worker")]
        missing = [person.name for person in everyone if len(by_name.get(person.name, "")) < 20]
        if missing or len({by_name[person.name] for person in everyone}) < len(everyone):
            raise ValueError(f"each person needs a token of its own, of 20 characters or more: {', '.join(missing)}")
        self.tenant_id = tenant_id
        self.by_name = {person.name: by_name[person.name] for person in everyone}
        self._digests = [(_digest(by_name[person.name]), person) for person in everyone]

    def person(self, token: str) -> Person | None:
        """Say whose token it is; None if nobody's. It takes as long whoever it is."""
        digest, found = _digest(token), None
        for known, person in self._digests:
            if hmac.compare_digest(known, digest):
                found = person
        return found

    def named(self, name: str) -> Person | None:
        """Say who has this name; None if nobody."""
        return next((person for _, person in self._digests if person.name == name), None)

    def bearer(self, connection: HTTPConnection) -> Person | None:
        """Say who calls by the header `Authorization`; None for nobody known."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        return self.person(token.strip()) if scheme.lower() == "bearer" else None

    def identify(self, connection: HTTPConnection) -> Identity | None:
        """Answer the platform's router who calls, and what of the tenant the caller reaches.

        Raises 403 for what a user may not ask.
        """
        person = self.bearer(connection)
        if person is None:
            return None
        if person.kind != "user":
            roles = frozenset({OPERATOR}) if person.kind == "operator" else frozenset[str]()
            return Identity(tenant=self.tenant_id, actor=person.name, roles=roles)
        path = connection.scope["path"]
        if not (path.endswith(_OF_USERS) or path.startswith(_TASKS)):
            raise HTTPException(403, "a user's token does not reach this call")
        return Identity(tenant=self.tenant_id, actor=person.name, user_id=person.name)


def read_tokens(folder: Path, people: People) -> dict[str, str]:
    """Read the tokens of the folder; make them, readable by the owner alone, if there are none for someone."""
    path = folder / "tokens.json"
    known: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    names = [*people.users, people.operator, people.worker]
    if all(name in known for name in names):
        return known
    known |= {name: secrets.token_urlsafe(24) for name in names if name not in known}
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(known, file, indent=1)
    return known


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
