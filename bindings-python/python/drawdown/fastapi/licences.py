"""The check of licences."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from .._generated.types import LicenceCheck
from .calls import Calls, answer
from .errors import Problem
from .models import LicenceAsked

# What a strict router answers as an error.
_STRICT: Final = {
    "revoked": ("authorization_revoked", "the licence was revoked"),
    "daily_quota_exceeded": ("daily_quota_exceeded", "the licence is used up"),
    "quota_exceeded": ("quota_exceeded", "the licence is used up in all"),
}


class Licences(Calls):
    """The call under `licenses/`."""

    async def check_licence(self, request: Request, asked: LicenceAsked) -> Response:
        """Says whether a user may use a template now. Nothing is used up.

        A refusal is an answer: `reason_code` says why.
        """
        caller, tenant_id, user_id = self.enter(request, asked.tenant_id, asked.user_id)
        check = await self.engine.check_licence(
            tenant_id=tenant_id,
            template_id=asked.template_id,
            user_id=user_id,
            channel=asked.channel,
            session_id=asked.session_id,
            **caller.trace,
        )
        if self.settings.strict_licences and check.reason_code in _STRICT:
            raise _refusal(check, asked.template_id)
        names = (
            "is_authorized", "reason_code", "remaining_quota", "daily_remaining", "valid_until", "policy_tag",
            "requirements", "audit_id",
        )  # fmt: skip
        return answer({name: getattr(check, name) for name in names})


def _refusal(check: LicenceCheck, template_id: str) -> Problem:
    name, message = _STRICT[check.reason_code]
    return Problem.named(
        name,
        message,
        used_by="check",
        details={
            "template_id": template_id,
            "reason_code": check.reason_code,
            "remaining_quota": check.remaining_quota,
            "daily_remaining": check.daily_remaining,
            "valid_until": check.valid_until,
        },
        retryable=check.retry_at is not None,
        retry_at=check.retry_at,
        audit_id=check.audit_id,
        policy_tag=check.policy_tag,
    )
