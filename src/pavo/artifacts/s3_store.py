"""Content in a bucket of Amazon's S3, or of a server that speaks as it does.

    PREFIX/ORGANISATION/ab/abcd…    whole: an object appears once all of it was sent, and never changes

What is being written lies in a folder of this machine before. What is read is brought to this machine first, in parts
that are limited each, and is what its name says: its hash is taken meanwhile.
"""

import hashlib
import os
import tempfile
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError

from pavo.artifacts.store import BlobStore, Staged, translated, write_all
from pavo.config import ArtifactSettings
from pavo.errors import PavoError, Unavailable

PART_BYTES: Final = 8 * 1024 * 1024
REQUEST_SECONDS: Final = 60
"""For a request, and all that it is tried again: a part, so that the slowest link that will do has 1 Mbit/s."""
_AT_ONCE: Final = 4
_PAGE: Final = 1000
_SETTINGS: Final = "Look at PAVO_ARTIFACTS_S3 and what follows it; API and workers need the same."


class S3Store(BlobStore):
    """Content in one bucket.

    Args:
        own: the bucket and how it is reached.
        root: where content lies while it is written.
    """

    def __init__(self, own: ArtifactSettings, root: Path) -> None:
        super().__init__(root)
        where = urlsplit(own.s3)
        self._name = own.s3
        keys = {"access_key_id": own.s3_access_key, "secret_access_key": own.s3_secret_key}
        given: dict[str, Any] = {name: key.get_secret_value() for name, key in keys.items() if key is not None}
        given = {name: value for name, value in given.items() if value}
        if own.s3_endpoint:
            given["endpoint"] = own.s3_endpoint
        seconds = timedelta(seconds=REQUEST_SECONDS)
        self._bucket = obstore.store.S3Store(
            where.netloc,
            prefix=where.path.strip("/") or None,
            region=own.s3_region,
            client_options={
                "allow_http": own.s3_endpoint.startswith("http://"),
                "connect_timeout": "5s",
                "timeout": f"{REQUEST_SECONDS}s",
            },
            retry_config={"max_retries": 3, "retry_timeout": seconds},
            **given,
        )

    def publish(self, organisation_id: uuid.UUID, staged: Staged) -> None:
        """See `BlobStore.publish`."""
        key = _key(organisation_id, staged.sha256)
        with self._translated():
            obstore.put(self._bucket, key, staged.path, chunk_size=PART_BYTES, max_concurrency=_AT_ONCE)
        self.discard(staged)

    def open(self, organisation_id: uuid.UUID, sha256: str) -> int:
        """See `BlobStore.open`: all of it is on this machine then, in a file without a name."""
        with translated(), tempfile.TemporaryFile(dir=self.incoming()) as file:
            self._bring(organisation_id, sha256, file.fileno())
            return os.dup(file.fileno())

    def part(self, organisation_id: uuid.UUID, sha256: str, offset: int, length: int) -> bytes:
        """See `BlobStore.part`: no more than that is asked for, and so its hash is not looked at."""
        try:
            with self._translated():
                return bytes(
                    obstore.get_range(self._bucket, _key(organisation_id, sha256), start=offset, length=length)
                )
        except FileNotFoundError as error:
            raise self._wrong(f"Content {sha256[:12]} is not in {self._name}.") from error

    def remove(self, organisation_id: uuid.UUID, sha256: str) -> None:
        """See `BlobStore.remove`."""
        try:
            with self._translated():
                obstore.delete(self._bucket, _key(organisation_id, sha256))
        except FileNotFoundError:
            pass
        except PavoError as error:
            raise OSError(error.detail) from error

    def has(self, organisation_id: uuid.UUID, sha256: str) -> bool:
        """See `BlobStore.has`."""
        try:
            with self._translated():
                obstore.head(self._bucket, _key(organisation_id, sha256))
        except FileNotFoundError:
            return False
        return True

    def contents(self) -> Iterator[tuple[uuid.UUID, Sequence[str]]]:
        """See `BlobStore.contents`: a page at a time."""
        with self._translated():
            pages = iter(obstore.list(self._bucket, chunk_size=_PAGE))
        while True:
            with self._translated():
                page = next(pages, None)
            if page is None:
                return
            found = [named for each in page if (named := _named(each["path"])) is not None]
            for organisation_id, several in groupby(found, key=lambda named: named[0]):
                yield organisation_id, [sha256 for _, sha256 in several]

    def lay(self, organisation_id: uuid.UUID, sha256: str, target: Path) -> None:
        """See `BlobStore.lay`."""
        with translated():
            descriptor = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                self._bring(organisation_id, sha256, descriptor)
            finally:
                os.close(descriptor)

    def _bring(self, organisation_id: uuid.UUID, sha256: str, to: int) -> None:
        key, found = _key(organisation_id, sha256), hashlib.sha256()
        try:
            with self._translated():
                size = obstore.head(self._bucket, key)["size"]
            for start in range(0, size, PART_BYTES):
                with self._translated():
                    part = bytes(obstore.get_range(self._bucket, key, start=start, end=min(start + PART_BYTES, size)))
                found.update(part)
                write_all(to, part)
        except FileNotFoundError as error:
            raise self._wrong(f"Content {sha256[:12]} is not in {self._name}.") from error
        if found.hexdigest() != sha256:
            raise self._wrong(f"Content {sha256[:12]} in {self._name} is not what its name says.")

    def _wrong(self, what: str) -> Unavailable:
        return Unavailable(what, dependency="artifacts", remedy=f"{_SETTINGS} Or bring back what was there.")

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Around a request. FileNotFoundError is left: the answer was that there is none."""
        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError, ValueError) as error:
            why = str(error).partition("\n")[0][:300]
            raise Unavailable(
                f"{self._name} cannot be used: {why}.", dependency="artifacts", remedy=_SETTINGS, retry_after=5
            ) from None


def _key(organisation_id: uuid.UUID, sha256: str) -> str:
    return f"{organisation_id}/{sha256[:2]}/{sha256}"


def _named(key: str) -> tuple[uuid.UUID, str] | None:
    """Whose content it is, and which; None where others have put it there."""
    organisation, _, rest = key.partition("/")
    try:
        found = uuid.UUID(organisation), rest.rpartition("/")[2]
    except ValueError:
        return None
    return found if key == _key(*found) and len(found[1]) == 64 else None
