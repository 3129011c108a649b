"""Datastore paths: `[LocalDS_0] web/web.vmdk`."""

import re

from emulators.vcenter.faults import Fault

_PATH = re.compile(r"\[([^\]]+)\] ?(.*)", re.DOTALL)


def split_path(path: str) -> tuple[str, str]:
    """Datastore name and path within it. Raises `Fault("InvalidDatastorePath")`."""
    found = _PATH.fullmatch(path)
    if found is None:
        raise Fault("InvalidDatastorePath", f"Invalid datastore path '{path}'.", datastorePath=path)
    return found[1], found[2]


def datastore_path(datastore: str, relative: str) -> str:
    return f"[{datastore}] {relative}"
