"""Heads and extents in the buckets of one account, and S3's errors as those of Azure."""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any
from urllib.parse import unquote_to_bytes

from azure.core.exceptions import HttpResponseError
from botocore.exceptions import ClientError

from emulators.blob_storage.errors import storage_error
from emulators.blob_storage.memory_blobs import CONTAINER_NAME
from emulators.blob_storage.s3_client import REGION
from emulators.blob_storage.s3_door import POOL
from emulators.blob_storage.s3_head import Head, dump, load

#: Changes of a head are made on the condition that nobody else changed it; each failure is somebody's success.
MOST_TRIES = 1000

#: Heads that a client keeps in mind because it wrote them last.
MOST_REMEMBERED = 64

SAME_ERRORS = {
    "NoSuchBucket": "ContainerNotFound",
    "NoSuchKey": "BlobNotFound",
    "BucketAlreadyOwnedByYou": "ContainerAlreadyExists",
    "BucketAlreadyExists": "ContainerAlreadyExists",
    "SignatureDoesNotMatch": "AuthenticationFailed",
    "AccessDenied": "AuthenticationFailed",
    "InvalidAccessKeyId": "ResourceNotFound",
    "EntityTooLarge": "RequestBodyTooLarge",
}

#: Somebody else was first: another head is there now, or none.
LOST = frozenset({"PreconditionFailed", "NoSuchKey"})


class Objects:
    """What a client of one account asks of S3. `draw` gives the random part of names."""

    def __init__(self, client: Any, draw: Callable[[Callable[[Random], str]], str]):
        self._client, self._draw = client, draw
        self._written: dict[tuple[str, str], tuple[Head, str]] = {}

    # containers ------------------------------------------------------------------------------------------------------

    def create(self, container: str) -> None:
        if not CONTAINER_NAME.fullmatch(container):
            raise storage_error("InvalidResourceName")
        with _errors():
            self._client.create_bucket(Bucket=container, CreateBucketConfiguration={"LocationConstraint": REGION})

    def names(self, container: str, prefix: str) -> list[str]:
        """The blobs of a container, in order."""
        found: list[str] = []
        with _errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=_known(container), Prefix=key_of(prefix))
            for page in pages:
                found += [name_of(entry["Key"]) for entry in page.get("Contents", ())]
        return sorted(found)

    # heads -----------------------------------------------------------------------------------------------------------

    def head(self, container: str, name: str) -> Head:
        with _errors():
            return self._read(container, name)[0]

    def change(self, container: str, name: str, change: Callable[[Head | None], Head | None]) -> Head | None:
        """Replace a head by what `change` makes of it (None: no blob), in one step. `change` may be asked again.

        First of the head that this client wrote last, without asking for it: S3 takes the new one only if it is still there.
        Nothing is refused on account of a head that may be an old one.
        """
        remembered = self._written.pop((container, name), None)
        if remembered is not None:
            with _errors(), suppress(HttpResponseError):
                new = change(remembered[0])
                if new is not remembered[0] and self._replace(container, name, remembered[1], new):
                    return new
        for _ in range(MOST_TRIES):
            with _errors():
                old, tag = self._look(container, name)
                new = change(old)
                if new is old or self._replace(container, name, tag, new):
                    return new
        raise ConnectionError(f"{container}/{name} is changed by others all the time")

    def _look(self, container: str, name: str) -> tuple[Head | None, str]:
        try:
            return self._read(container, name)
        except ClientError as error:
            if code_of(error) != "NoSuchKey":
                raise
            return None, ""

    def _read(self, container: str, name: str) -> tuple[Head, str]:
        answer = self._client.get_object(Bucket=_known(container), Key=key_of(name))
        return load(answer["Body"].read()), answer["ETag"]

    def _replace(self, container: str, name: str, tag: str, new: Head | None) -> bool:
        """Whether a head was still the one with this tag ("": none), and is the new one now."""
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            if new is None:
                self._client.delete_object(Bucket=container, Key=key_of(name), **condition)
            else:
                answer = self._client.put_object(Bucket=container, Key=key_of(name), Body=dump(new), **condition)
                self._remember(container, name, new, answer["ETag"])
        except ClientError as error:
            if code_of(error) not in LOST:
                raise
            return False
        return True

    def _remember(self, container: str, name: str, head: Head, tag: str) -> None:
        self._written[container, name] = head, tag
        if len(self._written) > MOST_REMEMBERED:
            with suppress(KeyError, RuntimeError):  # another thread may do the same
                del self._written[next(iter(self._written))]

    # extents ---------------------------------------------------------------------------------------------------------

    def store(self, data: bytes) -> str:
        """Keep bytes for good under a new name."""
        name = self._draw(lambda random: f"{random.getrandbits(128):032x}")
        with _errors():
            self._client.put_object(Bucket=POOL, Key=name, Body=data, IfNoneMatch="*")
        return name

    def fetch(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        where = {} if length is None else {"Range": f"bytes={offset}-{offset + length - 1}"}
        with _errors():
            return bytes(self._client.get_object(Bucket=POOL, Key=name, **where)["Body"].read())

    def store_once(self, data: bytes) -> Callable[[], str]:
        """`store` for a change that may be asked again: when first asked."""
        return functools.cache(lambda: self.store(data))


def key_of(name: str) -> str:
    """A blob's name, or the beginning of names, as the key of its head: one segment of a path, whatever is in the name."""
    return re.sub(rb"[^A-Za-z0-9_.-]|^\.", lambda found: b"=%02X" % ord(found[0]), name.encode()).decode()


def name_of(key: str) -> str:
    return unquote_to_bytes(key.replace("=", "%")).decode()


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _known(container: str) -> str:
    """A name that may be that of a container; no other one has blobs."""
    if not CONTAINER_NAME.fullmatch(container):
        raise storage_error("ContainerNotFound")
    return container


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = SAME_ERRORS.get(code_of(error))
        if code is None:
            raise ConnectionError(f"the S3 behind this storage answers {error}") from error
        raise storage_error(code) from error
