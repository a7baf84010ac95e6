"""The folder that the embedded stack lives in: its data, which outlive it, its secrets, and what runs now."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PRIVATE = 0o600


class StackError(Exception):
    """The stack cannot do what was asked; the message is for a person and names the remedy."""


@dataclass(frozen=True)
class Secrets:
    """What only the processes of one stack know; made at its first start."""

    redis_password: str
    s3_access_key: str
    s3_secret_key: str
    supervisor_password: str


@dataclass(frozen=True)
class Running:
    """A stack that was started: its supervisor, whose it is, and where its parts listen."""

    supervisor_pid: int
    # A mark in the environment of every process of it, by which they are found whatever became of their parents.
    mark: str
    owner: str
    trainers: int
    ports: dict[str, int]

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['api']}"

    @property
    def flower_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['flower']}"


class Home:
    """`.touchstone` of the checkout, or the folder that TOUCHSTONE_HOME names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valkey = folder / "valkey"
        self.s3 = folder / "s3"
        self.work = folder / "work"
        self.logs = folder / "logs"
        self.run = folder / "run"
        self._running = self.run / "stack.json"
        self._secrets = folder / "secrets.json"

    @classmethod
    def from_environment(cls) -> Home:
        return cls(Path(os.environ.get("TOUCHSTONE_HOME") or CHECKOUT / ".touchstone").absolute())

    def prepare(self) -> None:
        """Make the folders, for this user alone.

        Raises:
            StackError: the folder cannot be made or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.valkey, self.s3, self.work, self.logs, self.run):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StackError(
                f"{self.folder}: {error.strerror}. Set TOUCHSTONE_HOME to a folder you may write."
            ) from None

    def secrets(self) -> Secrets:
        """The stack's secrets, made at the first call.

        Raises:
            StackError: the file is not what was written.
        """
        if not self._secrets.exists():
            made = Secrets(*(secrets.token_hex(24) for _ in range(4)))
            _write_private(self._secrets, json.dumps(asdict(made), indent=2))
        try:
            return Secrets(**json.loads(self._secrets.read_text()))
        except (ValueError, TypeError):
            raise StackError(
                f"{self._secrets} is damaged. Remove it: new secrets are made at the next start."
            ) from None

    def running(self) -> Running | None:
        """What was last started and not stopped; its processes may have died since."""
        try:
            return Running(**json.loads(self._running.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise StackError(f"{self._running} is damaged. Remove it, and end by hand what still runs.") from None

    def set_running(self, running: Running | None) -> None:
        """Write down what was started; None: nothing is."""
        if running is None:
            self._running.unlink(missing_ok=True)
        else:
            _write_private(self._running, json.dumps(asdict(running), indent=2))

    def write_configuration(self, text: str) -> None:
        """The supervisor's; it holds a password."""
        _write_private(self.run / "supervisord.conf", text)

    @property
    def owner_lock(self) -> Path:
        """Held by a `make demo` as long as it lives."""
        return self.run / "owner.lock"

    def is_owned(self) -> bool:
        """Whether a `make demo` lives that the stack belongs to."""
        with self.owner_lock.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Only one command at a time starts or stops the stack.

        Raises:
            StackError: another one is at it.
        """
        with (self.run / "change.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(
                    "another command is starting or stopping this stack. Try again when it is done."
                ) from None
            yield

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _write_private(path: Path, text: str) -> None:
    """Write a file whole, readable by its owner alone."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.touch(PRIVATE)
    temporary.write_text(text)
    temporary.replace(path)
