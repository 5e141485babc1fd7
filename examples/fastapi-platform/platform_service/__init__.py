"""A platform with credits, licences and tasks: a service to copy."""

from .app import create_app
from .settings import Settings

__all__ = ["Settings", "create_app"]
