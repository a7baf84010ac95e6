"""The Python client of Touchstone's API, and the `touchstone` command. Needs nothing of the server.

from touchstone_client import Client

with Client("http://127.0.0.1:8000") as client:
    experiment = client.submit(Path("examples/quickstart.yaml"))
    for event in client.events(experiment["id"]):
        print(event.name, event.data["state"])
    print(client.report(experiment["id"])["verdict"]["sentence"])
"""

from touchstone_client.client import Client
from touchstone_client.errors import (
    Conflict,
    FieldError,
    InvalidInput,
    NotFound,
    Problem,
    ProblemError,
    RejectedInput,
    ServerError,
    TouchstoneClientError,
    Unauthorized,
    Unreachable,
)
from touchstone_client.events import Event

__all__ = [
    "Client",
    "Conflict",
    "Event",
    "FieldError",
    "InvalidInput",
    "NotFound",
    "Problem",
    "ProblemError",
    "RejectedInput",
    "ServerError",
    "TouchstoneClientError",
    "Unauthorized",
    "Unreachable",
]
