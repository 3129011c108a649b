"""A way into a guest's disks for real programs: NBD (newstyle fixed, simple replies), a thread for each connection.

What arrives here is what the guest writes: it passes the same gate and the same filters, so `qemu-io`, `nbdcopy` or `fio` are the
workload of a machine while it is protected. Exports are named by unit (`0`, `1`); the empty name is the first disk.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

PORT = 10809
OPTION_MAGIC, REPLY_MAGIC = b"IHAVEOPT", 0x3E889045565A9
REQUEST_MAGIC, ANSWER_MAGIC = 0x25609513, 0x67446698
OPTION = struct.Struct(">8sII")
REQUEST = struct.Struct(">IHHQQI")
ANSWER = struct.Struct(">IIQ")
#: The most bytes in one request, and in one option of the handshake.
MOST, MOST_OPTION = 32 << 20, 4096
ZEROS = bytes(1 << 20)

FIXED_NEWSTYLE, NO_ZEROES = 1, 2
HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_WRITE_ZEROES, MULTI_CONN = 1, 4, 8, 64, 256
FLAGS = HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_WRITE_ZEROES | MULTI_CONN
FUA = 1
EXPORT_NAME, ABORT, LIST, INFO, GO = 1, 2, 3, 6, 7
ACK, SERVER, INFO_REPLY, UNSUPPORTED, INVALID, UNKNOWN = 1, 2, 3, 0x80000001, 0x80000003, 0x80000006
READ, WRITE, DISCONNECT, FLUSH, WRITE_ZEROES = 0, 1, 2, 3, 6
OK, EIO, EINVAL, ENOSPC = 0, 5, 22, 28


class Disk(Protocol):
    """A disk of a guest."""

    unit: int

    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def flush(self) -> None: ...


class Guest(Protocol):
    """The machine whose disks are shown."""

    name: str

    def disks(self) -> list[Any]: ...


class _Gone(Exception):
    """The client does not speak the protocol, or has left."""


@dataclass(slots=True)
class NbdDoor:
    """Serves the disks of one guest on a loopback address until `close`; `port` 0 takes a free one."""

    guest: Guest
    address: str = "127.0.0.1"
    port: int = PORT
    _socket: socket.socket | None = None
    _clients: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> "NbdDoor":
        """Listen. Raises `ValueError` for an address that others could reach, `OSError` when the port is taken."""
        if not self.address.startswith("127."):
            raise ValueError(f"{self.address} is not a loopback address: NBD has no passwords, so it stays on this machine")
        self._socket = socket.create_server((self.address, self.port))
        self.port = self._socket.getsockname()[1]
        self._start(self._accept, "nbd door")
        return self

    def uri(self, unit: int) -> str:
        """What `qemu-io` and `nbdcopy` call the disk of a unit."""
        return f"nbd://{self.address}:{self.port}/{unit}"

    def close(self) -> None:
        """End the listener and every connection, and wait for their threads."""
        listener, self._socket = self._socket, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            clients, threads = list(self._clients), list(self._threads)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=10)

    def __enter__(self) -> "NbdDoor":
        return self if self._socket is not None else self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=f"{name} of {self.guest.name}", daemon=True)
        with self._lock:
            self._threads = [kept for kept in self._threads if kept.is_alive()] + [thread]
        thread.start()

    def _accept(self) -> None:
        listener = self._socket
        while listener is not None:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._clients.add(client)
            self._start(partial(self._serve, client), "nbd client")

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb", buffering=1 << 18) as reader, suppress(_Gone, OSError):
            disk = _handshake(client, reader, {str(disk.unit): disk for disk in self.guest.disks()})
            while disk is not None and _one_request(client, reader, disk):
                pass
        with self._lock:
            self._clients.discard(client)


def _exactly(reader: Any, count: int) -> bytes:
    data: bytes = reader.read(count)
    if len(data) != count:
        raise _Gone
    return data


# handshake ---------------------------------------------------------------------------------------------------------------


def _handshake(client: socket.socket, reader: Any, disks: dict[str, Disk]) -> Disk | None:
    """Agree on a disk; None when the client only asked."""
    client.sendall(b"NBDMAGIC" + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE | NO_ZEROES))
    (flags,) = struct.unpack(">I", _exactly(reader, 4))
    if flags & ~(FIXED_NEWSTYLE | NO_ZEROES):
        raise _Gone
    while True:
        magic, option, length = OPTION.unpack(_exactly(reader, OPTION.size))
        if magic != OPTION_MAGIC or length > MOST_OPTION:
            raise _Gone
        data = _exactly(reader, length)
        if option == EXPORT_NAME:
            disk = _named(disks, data)
            if disk is None:
                raise _Gone  # this option has no other way to say no
            client.sendall(struct.pack(">QH", disk.size, FLAGS) + (b"" if flags & NO_ZEROES else bytes(124)))
            return disk
        if option in (INFO, GO):
            disk = _describe(client, option, data, disks)
            if disk is not None and option == GO:
                return disk
        elif option == ABORT:
            _reply(client, option, ACK)
            return None
        elif option == LIST:
            _list(client, data, disks)
        else:
            _reply(client, option, UNSUPPORTED)


def _list(client: socket.socket, data: bytes, disks: dict[str, Disk]) -> None:
    for name in disks if not data else ():
        _reply(client, LIST, SERVER, struct.pack(">I", len(name)) + name.encode())
    _reply(client, LIST, INVALID if data else ACK)


def _describe(client: socket.socket, option: int, data: bytes, disks: dict[str, Disk]) -> Disk | None:
    length = struct.unpack_from(">I", data)[0] if len(data) >= 6 else len(data)
    if length + 6 > len(data):
        _reply(client, option, INVALID)
        return None
    disk = _named(disks, data[4 : 4 + length])
    if disk is None:
        _reply(client, option, UNKNOWN, b"a machine's disks are named by their units")
        return None
    _reply(client, option, INFO_REPLY, struct.pack(">HQH", 0, disk.size, FLAGS))
    _reply(client, option, INFO_REPLY, struct.pack(">HIII", 3, 1, 4096, MOST))
    _reply(client, option, ACK)
    return disk


def _named(disks: dict[str, Disk], name: bytes) -> Disk | None:
    if not name and disks:
        return next(iter(disks.values()))
    return disks.get(name.decode("utf-8", "replace"))


def _reply(client: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    client.sendall(struct.pack(">QIII", REPLY_MAGIC, option, kind, len(data)) + data)


# transmission ------------------------------------------------------------------------------------------------------------


def _one_request(client: socket.socket, reader: Any, disk: Disk) -> bool:
    """Serve one request; False when the client says goodbye."""
    magic, flags, kind, cookie, offset, length = REQUEST.unpack(_exactly(reader, REQUEST.size))
    if magic != REQUEST_MAGIC or (kind == WRITE and length > MOST):
        raise _Gone
    if kind == DISCONNECT:
        return False
    data = _exactly(reader, length) if kind == WRITE else b""
    action = ACTIONS.get(kind)
    if action is None or (kind == READ and length > MOST):
        error, answer = EINVAL, b""
    elif kind != FLUSH and offset + length > disk.size:
        error, answer = (EINVAL if kind == READ else ENOSPC), b""
    else:
        try:
            error, answer = OK, action(disk, offset, length, data)
            if flags & FUA:
                disk.flush()
        except OSError:
            error, answer = EIO, b""
    client.sendall(ANSWER.pack(ANSWER_MAGIC, error, cookie) + answer)
    return True


def _read(disk: Disk, offset: int, length: int, _: bytes) -> bytes:
    return disk.read(offset, length)


def _write(disk: Disk, offset: int, _: int, data: bytes) -> bytes:
    disk.write(offset, data)
    return b""


def _write_zeroes(disk: Disk, offset: int, length: int, _: bytes) -> bytes:
    for at in range(0, length, len(ZEROS)):
        disk.write(offset + at, ZEROS[: length - at])
    return b""


def _flush(disk: Disk, *_: Any) -> bytes:
    disk.flush()
    return b""


Action = Callable[[Disk, int, int, bytes], bytes]
ACTIONS: dict[int, Action] = {READ: _read, WRITE: _write, FLUSH: _flush, WRITE_ZEROES: _write_zeroes}
