"""The platform API as one router for FastAPI.

>>> from fastapi import FastAPI
>>> from drawdown import AsyncEngine
>>> from drawdown.fastapi import Identity, router
>>>
>>> engine = AsyncEngine("sqlite:///credits.db")
>>> app = FastAPI()
>>> app.include_router(router(engine, authenticate=lambda request: Identity(tenant="acme", actor="web")))
"""

from .auth import OPERATOR, Authenticate, Identity
from .router import router

__all__ = ["OPERATOR", "Authenticate", "Identity", "router"]
