"""Following events: a broken connection is made again from the last event on."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from touchstone_client import Client, NotFound, Unreachable


class Server:
    """Answers each connection with the next part of a script, and remembers what it was asked with."""

    def __init__(self, *parts: bytes | int) -> None:
        self.asked: list[str | None] = []
        self._parts = list(parts)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers.get("Last-Event-ID"))
        part = self._parts.pop(0) if self._parts else 503
        if isinstance(part, int):
            return httpx.Response(part, json={"title": "T", "status": part, "detail": "no"})
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Broken(part))

    def client(self) -> Client:
        return Client(http=httpx.Client(transport=httpx.MockTransport(self), base_url="http://test"))


class Broken(httpx.SyncByteStream):
    """A stream that breaks after its bytes unless they hold the end."""

    def __init__(self, part: bytes) -> None:
        self._part = part

    def __iter__(self) -> Iterator[bytes]:
        yield self._part
        if b"event: end" not in self._part:
            raise httpx.ReadError("connection reset")


def event(id: str, name: str = "update") -> bytes:
    return f'id: {id}\nevent: {name}\ndata: {{"state": "running"}}\n\n'.encode()


END = b'event: end\ndata: {"state": "succeeded"}\n\n'


def test_a_broken_connection_goes_on_after_the_last_event() -> None:
    server = Server(event("1-0", "snapshot") + event("2-0"), 503, event("3-0"), END)
    found = list(server.client().events("x"))
    assert [each.id for each in found] == ["1-0", "2-0", "3-0", ""]
    assert [each.name for each in found] == ["snapshot", "update", "update", "end"]
    assert server.asked == [None, "2-0", "2-0", "3-0"]


def test_half_an_event_is_none() -> None:
    server = Server(event("1-0") + b"id: 2-0\nevent: update\nda", event("2-0") + END)
    assert [each.id for each in server.client().events("x")] == ["1-0", "2-0", "2-0"]
    assert server.asked == [None, "1-0"]


def test_pings_are_no_events() -> None:
    server = Server(b": ping\r\n\r\n" + event("1-0") + b": ping\r\n\r\n: ping\r\n\r\n" + END)
    assert [each.name for each in server.client().events("x")] == ["update", "end"]


def test_a_caller_may_say_where_to_begin() -> None:
    server = Server(END)
    list(server.client().events("x", last_event_id="7-0"))
    assert server.asked == ["7-0"]


def test_a_refusal_is_not_tried_again() -> None:
    server = Server(404, END)
    with pytest.raises(NotFound):
        list(server.client().events("x"))
    assert len(server.asked) == 1


def test_patience_has_an_end() -> None:
    server = Server(event("1-0"))
    with pytest.raises(Unreachable, match="503"):
        list(server.client().events("x", patience=0.3))
