"""What the service is told by its environment."""

from pathlib import Path
from typing import Final

from pydantic import Field, Json
from pydantic_settings import BaseSettings, SettingsConfigDict

_DATA: Final = Path(__file__).parent / "data"


class Settings(BaseSettings):
    """The settings, each from the variable `PLATFORM_` and its name; the defaults run on one's own machine.

    >>> Settings(folder="/var/lib/platform", port=9000).books
    'sqlite:////var/lib/platform/credits.db'
    """

    model_config = SettingsConfigDict(env_prefix="PLATFORM_", extra="forbid")

    folder: Path = Path("platform-data")
    """Where the books and the tokens are kept."""
    database_url: str | None = None
    """The books, if they are elsewhere than `credits.db` in the folder."""
    tenant_id: str = "acme"
    """The tenant that this service serves."""
    tokens: Json[dict[str, str]] | None = None
    """The tokens by name, as a JSON object; else those of `tokens.json` in the folder, made at the first start."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)

    prices_file: Path = _DATA / "prices.yaml"
    policy_file: Path = _DATA / "policy.yaml"
    people_file: Path = _DATA / "people.yaml"

    sweep_seconds: float = Field(default=5, gt=0)
    """How often is booked what has become due."""
    step_seconds: float = Field(default=1.5, ge=0)
    """How long a step of the simulated work takes."""
    workers: int = Field(default=4, ge=1, le=64)
    """How many tasks are worked on at once."""
    waiting_tasks: int = Field(default=100, ge=1)
    """How many tasks may wait for a worker; one more is refused before anything is held for it."""
    session_hours: float = Field(default=12, gt=0)
    """How long a login to the console lasts."""
    heartbeat_seconds: float = Field(default=25, gt=0)
    """How often a stream of events says that it lives."""

    @property
    def books(self) -> str:
        """The address of the books."""
        return self.database_url or f"sqlite:///{self.folder.absolute() / 'credits.db'}"
