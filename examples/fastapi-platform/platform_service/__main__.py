"""`python -m platform_service` serves; it says where, and the tokens of the sample's people."""

import uvicorn

from .app import create_app
from .auth import read_tokens
from .people import People
from .settings import Settings


def main() -> None:
    """Serve until interrupted."""
    settings = Settings()
    people = People.read(settings.people_file)
    tokens = settings.tokens or read_tokens(settings.folder, people)
    address = f"http://{settings.host}:{settings.port}"
    print(f"platform   {address}/api/v1   {address}/docs")
    print(f"console    {address}/console")
    print("tokens")
    kinds = {people.operator: "operator, opens the console", people.worker: "worker"}
    for name, token in tokens.items():
        print(f"  {name:15} {token}   {kinds.get(name, 'user')}")
    print(flush=True)
    # Streams of events stay open as long as their clients do: they get a moment to end.
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, timeout_graceful_shutdown=2)


if __name__ == "__main__":
    main()
