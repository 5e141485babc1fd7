"""Owners of accounts, as text."""

from typing import Final

POOL: Final = "pool"
"""The tenant's pool."""


def user(user_id: str) -> str:
    """Name the user with this id as an owner.

    >>> user("u1")
    'user:u1'
    """
    return f"user:{user_id}"


def organization(organization_id: str) -> str:
    """Name the organization with this id as an owner.

    >>> organization("o1")
    'organization:o1'
    """
    return f"organization:{organization_id}"
