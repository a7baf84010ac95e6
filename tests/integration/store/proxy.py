"""A proxy before an S3 server that counts what it passes on, and holds it back beyond so many bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlsplit

PIECE = 64 * 1024


class Proxy:
    """Passes connections on. What the server sends after `allowed` bytes in all waits until more are allowed."""

    def __init__(self, endpoint: str) -> None:
        target = urlsplit(endpoint)
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._changed = threading.Condition()
        self._allowed: float = float("inf")
        self._closed = False
        self.sent = 0
        self.requests: list[bytes] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def allow(self, count: float) -> None:
        """From now on so many bytes of answers."""
        with self._changed:
            self.sent, self._allowed = 0, count
            self._changed.notify_all()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            for data in _pieces(client):
                self.requests.append(data)
                server.sendall(data)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        for data in _pieces(server):
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self.sent < self._allowed)
                if self._closed:
                    return
                self.sent += len(data)
            try:
                client.sendall(data)
            except OSError:
                return


def _pieces(source: socket.socket) -> Iterator[bytes]:
    """What comes until the connection ends, however it does."""
    while True:
        try:
            data = source.recv(PIECE)
        except OSError:
            return
        if not data:
            return
        yield data
