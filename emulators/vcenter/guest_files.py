"""The files that guest operations see in an emulated guest: a small tree of its own in memory, POSIX or Windows."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from emulators.vcenter.faults import Fault

#: What one guest may keep: bytes in files, and how many files.
MOST_BYTES, MOST_FILES = 64 * 1024 * 1024, 10_000
_LONGEST = 4096
_SEPARATORS = re.compile(r"[\\/]+")


@dataclass(frozen=True, slots=True)
class Node:
    """A file or directory. `owner` is a user's name; `mode` the POSIX permission bits."""

    path: str  #: as it was first written
    kind: str  #: file or directory
    owner: str
    modified: float
    accessed: float
    created: float
    data: bytes = b""
    mode: int = 0o644
    hidden: bool = False
    read_only: bool = False


@dataclass(slots=True)
class FileTree:
    """Files by their path in a normal form. Raises the faults of guest operations."""

    windows: bool
    admin: str  #: the user who may everything
    nodes: dict[str, Node] = field(default_factory=dict)

    def copy(self) -> "FileTree":
        return FileTree(self.windows, self.admin, dict(self.nodes))

    # names -----------------------------------------------------------------------------------------------------------

    def normal(self, path: str) -> str:
        """The one spelling of an absolute path. Raises `Fault("FileNotFound")` for what is none."""
        if "\0" in path or not 0 < len(path) <= _LONGEST:
            raise Fault("FileNotFound", "It is no path.", file=path[:200])
        if not self.windows:
            if not path.startswith("/"):
                raise Fault("FileNotFound", f"{path} is not an absolute path.", file=path)
            return posixpath.normpath("/" + path.lstrip("/"))
        parts = _SEPARATORS.split(path.rstrip("\\/"))
        if not re.fullmatch(r"[A-Za-z]:", parts[0]) or ".." in parts:
            raise Fault("FileNotFound", f"{path} is not an absolute path.", file=path)
        return "/".join(part for part in parts if part != ".").lower()

    def shown(self, path: str) -> str:
        """A path as the guest writes it."""
        self.normal(path)
        return "\\".join(_SEPARATORS.split(path.rstrip("\\/"))) if self.windows else self.normal(path)

    def parent(self, key: str) -> str:
        found = key.rpartition("/")[0]
        return found or "/" if not self.windows else found

    def join(self, directory: str, name: str) -> str:
        return f"{directory.rstrip('/')}/{name}" if not self.windows else f"{directory.rstrip(chr(92))}\\{name}"

    # reading ---------------------------------------------------------------------------------------------------------

    def get(self, path: str, kind: str = "") -> Node:
        """What is at a path; of a kind if told. Raises `FileNotFound`, `NotAFile`, `NotADirectory`."""
        node = self.nodes.get(self.normal(path))
        if node is None:
            raise Fault("FileNotFound", f"{path} was not found.", file=path)
        if kind and node.kind != kind:
            fault = "NotAFile" if kind == "file" else "NotADirectory"
            raise Fault(fault, f"{path} is a {node.kind}.", file=path)
        return node

    def has(self, path: str) -> bool:
        return self.normal(path) in self.nodes

    def inside(self, path: str) -> list[Node]:
        """What lies right in a directory, by name."""
        key = self.normal(path)
        return [self.nodes[one] for one in sorted(self.nodes) if one != key and self.parent(one) == key]

    def below(self, path: str) -> Iterator[str]:
        """The normal paths of all that lies below one."""
        prefix = self.normal(path).rstrip("/") + "/"
        return (one for one in list(self.nodes) if one.startswith(prefix))

    # writing ---------------------------------------------------------------------------------------------------------

    def may_write(self, user: str, path: str) -> None:
        """Raises `Fault("GuestPermissionDenied")` when a user may not change what is at a path, or make it."""
        node = self.nodes.get(self.normal(path))
        above = self.nodes.get(self.parent(self.normal(path)))
        if user.lower() == self.admin.lower() or (node is not None and node.owner.lower() == user.lower()):
            return
        if node is None and above is not None and (above.owner.lower() == user.lower() or above.mode & 0o002):
            return
        raise Fault("GuestPermissionDenied", f"{user} may not change {path}.")

    def write(self, user: str, path: str, data: bytes, now: float, *, overwrite: bool = True, mode: int = 0o644) -> None:
        """Put a file. Raises `FileAlreadyExists`, `NotAFile`, `FileNotFound` for its directory, `NoDiskSpace`."""
        key = self.normal(path)
        old = self.nodes.get(key)
        if old is not None and old.kind != "file":
            raise Fault("NotAFile", f"{path} is a directory.", file=path)
        if old is not None and not overwrite:
            raise Fault("FileAlreadyExists", f"{path} exists already.", file=path)
        self.get(self.parent_of(path), "directory")
        self.may_write(user, path)
        self._room(len(data) - (len(old.data) if old is not None else 0), 0 if old is not None else 1)
        if old is not None:
            self.nodes[key] = replace(old, data=data, modified=now)
        else:
            self.nodes[key] = Node(self.shown(path), "file", user, now, now, now, data, mode)

    def parent_of(self, path: str) -> str:
        """The directory of a path, as it is written."""
        shown = self.shown(path)
        if not self.windows:
            return posixpath.dirname(shown)
        return shown.rpartition("\\")[0]

    def make_directory(self, user: str, path: str, now: float, *, parents: bool = False, mode: int = 0o755) -> None:
        """Raises `FileAlreadyExists`, `FileNotFound` for its directory."""
        if self.has(path):
            raise Fault("FileAlreadyExists", f"{path} exists already.", file=path)
        above = self.parent_of(path)
        if parents and not self.has(above):
            self.make_directory(user, above, now, parents=True)
        self.get(above, "directory")
        self.may_write(user, path)
        self._room(0, 1)
        self.nodes[self.normal(path)] = Node(self.shown(path), "directory", user, now, now, now, mode=mode)

    def remove(self, user: str, path: str, kind: str, *, recursive: bool = False) -> None:
        """Raises `FileNotFound`, `NotAFile`, `NotADirectory`, `DirectoryNotEmpty`."""
        self.get(path, kind)
        self.may_write(user, path)
        inner = list(self.below(path))
        if inner and not recursive:
            raise Fault("DirectoryNotEmpty", f"{path} is not empty.", file=path)
        for key in [*inner, self.normal(path)]:
            del self.nodes[key]

    def move(self, user: str, source: str, target: str, kind: str, *, overwrite: bool = False) -> None:
        """Raises what reading the source and writing the target do."""
        self.get(source, kind)
        if self.has(target) and not (overwrite and kind == "file"):
            raise Fault("FileAlreadyExists", f"{target} exists already.", file=target)
        self.get(self.parent_of(target), "directory")
        old, fresh = self.normal(source), self.normal(target)
        if f"{fresh}/".startswith(f"{old}/") and fresh != old:
            raise Fault("FileAlreadyExists", f"{target} lies in {source}.", file=target)
        for path in (source, target):
            self.may_write(user, path)
        for key in [*self.below(source), old]:
            node = self.nodes.pop(key)
            self.nodes[fresh + key[len(old) :]] = replace(node, path=self.shown(target) + node.path[len(self.shown(source)) :])

    def change(self, user: str, path: str, **attributes: Any) -> None:
        """Change attributes (fields of `Node`) of what is there."""
        node = self.get(path)
        self.may_write(user, path)
        self.nodes[self.normal(path)] = replace(node, **attributes)

    def _room(self, size: int, count: int) -> None:
        used = sum(len(node.data) for node in self.nodes.values())
        if used + size > MOST_BYTES or len(self.nodes) + count > MOST_FILES:
            raise Fault("NoDiskSpace", "The guest has no room for it.", file="", datastore="")


def temporary(windows: bool) -> str:
    """The folder in which every user may write."""
    return "C:\\Windows\\Temp" if windows else posixpath.join("/", "tmp")


def tree(windows: bool, admin: str, hostname: str, programs: list[str], now: float) -> FileTree:
    """The files that a fresh guest has."""
    made = FileTree(windows, admin)
    folders = _WINDOWS if windows else (*_POSIX, temporary(windows))
    for path in folders:
        mode = 0o777 if path == temporary(windows) else 0o755
        made.nodes[made.normal(path)] = Node(path, "directory", admin, now, now, now, mode=mode)
    for program in programs:
        path = f"C:\\Windows\\System32\\{program}.exe" if windows else f"/bin/{program}"
        made.nodes[made.normal(path)] = Node(path, "file", admin, now, now, now, b"", 0o755)
    if not windows:
        made.nodes["/etc/hostname"] = Node("/etc/hostname", "file", admin, now, now, now, f"{hostname}\n".encode())
    return made


_POSIX = ("/", "/bin", "/etc", "/home", "/root", "/usr", "/var", "/var/log")
_WINDOWS = ("C:", "C:\\Windows", "C:\\Windows\\System32", "C:\\Windows\\Temp", "C:\\Users", "C:\\Users\\Administrator")
