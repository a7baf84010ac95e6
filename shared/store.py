"""The object store: one narrow protocol, an S3 client behind it, and one in memory.

The store is the truth of everything (design.md, "Where the truth lives"). Nothing here relies on conditional
writes, S3 metadata or ETags, so any S3 server will do; `tests/integration/store` says what is relied on.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error

from shared.errors import Outage
from shared.settings import Settings

# rclone answers some concurrent puts with a passing 500.
RETRIES = urllib3.Retry(total=5, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504], allowed_methods=None)
CONNECTIONS = 32
PIECE = 1024 * 1024
AT_ONCE = 3
"""Parts of a file that are uploaded at the same time."""


class NotFound(KeyError):
    """No object has this name."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a listing shows it; `modified` is the store's clock."""

    name: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """What Touchstone needs of a store. Every method raises `Outage` when the store cannot be reached."""

    def put(self, name: str, data: bytes) -> None:
        """Write an object whole; readers see the old one or the new one."""

    def put_file(
        self, name: str, path: Path, before_part: Callable[[], None] | None = None, at_once: int = AT_ONCE
    ) -> None:
        """Write an object from a local file of any size, `at_once` parts at the same time.

        `before_part` is called before each is read, by this thread; what it raises ends the upload, without an object.
        """

    def get(self, name: str) -> bytes:
        """Read an object. Raises `NotFound`."""

    def get_file(self, name: str, path: Path) -> None:
        """Read an object into a local file. Raises `NotFound`."""

    def stream(self, name: str, start: int = 0) -> Iterator[bytes]:
        """An object's bytes from `start` on, in pieces; `start` is less than its size, or 0. Raises `NotFound`, before
        the first piece."""

    def exists(self, name: str) -> bool:
        """Whether the object is there."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects under a prefix, by name."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; a missing one is no error. Only ever called on what no longer counts: `scratch/`, old
        ledger segments, grants that were withdrawn or whose purse is closed."""


class _XmlErrors(urllib3.PoolManager):
    """minio refuses error answers that are labelled `text/xml`, as rclone labels its own."""

    def urlopen(self, method: str, url: str, redirect: bool = True, **kw: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        response = super().urlopen(method, url, redirect=redirect, **kw)
        if response.headers.get("content-type", "").startswith("text/xml"):
            response.headers["content-type"] = "application/xml"
        return response


class S3Store:
    """An S3 server behind `ObjectStore`, through the minio client."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, bucket: str, region: str = "us-east-1") -> None:
        url = urlsplit(endpoint)
        pool = _XmlErrors(
            maxsize=CONNECTIONS, retries=RETRIES, timeout=urllib3.Timeout(connect=5, read=120), num_pools=4
        )
        self.bucket = bucket
        self._client = Minio(
            url.netloc,
            access_key=access_key,
            secret_key=secret_key,
            secure=url.scheme == "https",
            region=region,
            http_client=pool,
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Store:
        return cls(
            settings.s3_endpoint,
            settings.s3_access_key,
            settings.s3_secret_key.get_secret_value(),
            settings.s3_bucket,
            settings.s3_region,
        )

    def ensure_bucket(self) -> None:
        """Create the bucket where it is missing."""
        with _translated(self.bucket):
            if not self._client.bucket_exists(self.bucket):
                try:
                    self._client.make_bucket(self.bucket)
                except S3Error as error:
                    if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                        raise

    def put(self, name: str, data: bytes) -> None:
        with _translated(name):
            self._client.put_object(self.bucket, name, io.BytesIO(data), len(data))

    def put_file(
        self, name: str, path: Path, before_part: Callable[[], None] | None = None, at_once: int = AT_ONCE
    ) -> None:
        with _translated(name), path.open("rb") as file:
            parts = _Parts(file, before_part) if before_part is not None else file
            size = path.stat().st_size
            self._client.put_object(self.bucket, name, parts, size, num_parallel_uploads=at_once)

    def get(self, name: str) -> bytes:
        with _translated(name):
            response = self._client.get_object(self.bucket, name)
            try:
                return bytes(response.read())
            finally:
                response.close()
                response.release_conn()

    def get_file(self, name: str, path: Path) -> None:
        partial = path.with_name(f"{path.name}.part")
        try:
            with _translated(name):
                self._client.fget_object(self.bucket, name, str(path), tmp_file_path=str(partial))
        finally:
            # The client leaves what was cut off, under a name that nobody asks for again.
            partial.unlink(missing_ok=True)

    def stream(self, name: str, start: int = 0) -> Iterator[bytes]:
        with _translated(name):
            response = self._client.get_object(self.bucket, name, offset=start)
        return _pieces(name, response)

    def exists(self, name: str) -> bool:
        try:
            with _translated(name):
                self._client.stat_object(self.bucket, name)
        except NotFound:
            return False
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with _translated(prefix):
            for item in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                yield ObjectInfo(item.object_name, item.size or 0, item.last_modified)

    def delete(self, names: Iterable[str]) -> None:
        with _translated("delete"):
            for error in self._client.remove_objects(self.bucket, [DeleteObject(name) for name in names]):
                if error.code != "NoSuchKey":
                    raise Outage(f"object store: cannot delete {error.name}: {error.message}")


class _Parts:
    """A file that calls back before it is read: the client reads it a part at a time."""

    def __init__(self, file: BinaryIO, before_part: Callable[[], None]) -> None:
        self._file = file
        self._before_part = before_part

    def read(self, size: int) -> bytes:
        self._before_part()
        return self._file.read(size)


def _pieces(name: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    try:
        with _translated(name):
            yield from response.stream(PIECE)
    finally:
        response.close()
        response.release_conn()


class _translated:
    """Turns the client's errors into `NotFound` and `Outage`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, S3Error):
            if error.code in {"NoSuchKey", "NoSuchObject"}:
                raise NotFound(self.name) from error
            raise Outage(f"object store: {error.code}: {error.message} ({self.name})") from error
        if isinstance(error, MinioException | urllib3.exceptions.HTTPError | ConnectionError | ParseError):
            raise Outage(f"object store cannot be reached: {error}") from error


class MemoryStore:
    """The same protocol in memory, for unit tests."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, datetime]] = {}
        self._lock = threading.Lock()

    def ensure_bucket(self) -> None:
        return None

    def put(self, name: str, data: bytes) -> None:
        with self._lock:
            self._objects[name] = (bytes(data), datetime.now(UTC))

    def put_file(
        self, name: str, path: Path, before_part: Callable[[], None] | None = None, at_once: int = AT_ONCE
    ) -> None:
        if before_part is not None:
            before_part()
        self.put(name, path.read_bytes())

    def get(self, name: str) -> bytes:
        try:
            return self._objects[name][0]
        except KeyError:
            raise NotFound(name) from None

    def get_file(self, name: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.get(name))

    def stream(self, name: str, start: int = 0) -> Iterator[bytes]:
        data = self.get(name)[start:]
        return (data[at : at + PIECE] for at in range(0, len(data), PIECE))

    def exists(self, name: str) -> bool:
        return name in self._objects

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._lock:
            rows = [(name, len(data), at) for name, (data, at) in self._objects.items() if name.startswith(prefix)]
        for name, size, at in sorted(rows):
            yield ObjectInfo(name, size, at)

    def delete(self, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._objects.pop(name, None)
