"""`drillbed hrl FILE`: what a replication log says, and what is wrong with it (docs/hrl.md)."""

import base64
import binascii
from pathlib import Path

from drillbed.errors import UsageError
from reference_impl import hrl
from reference_impl.hrl import DamagedLog, Frame, LogHead
from reference_impl.times import iso

#: Records shown of each frame.
MOST_RECORDS = 20


def hrl_text(file: Path, key: str | None = None) -> tuple[str, bool]:
    """The description of a log, and whether it is sound. With the machine's key (base64) its records too. Raises `UsageError`."""
    secret = _secret(key) if key is not None else None
    raw = _read(file)
    try:
        head = hrl.inspect(raw)
        frames = _frames(raw, head, secret) if secret is not None else []
    except DamagedLog as fault:
        return f"{file}: {fault}\n", False
    lines = [
        f"{file}: a sound log of {len(raw)} bytes",
        f"machine     {head.machine_id}, generation {head.generation}",
        f"records     {head.first} to {head.last}, written {iso(head.made)}",
        f"flags       {_flags(head)}",
        f"digest      {head.digest.hex()}",
        f"previous    {head.previous.hex()}" + (" (the first log)" if head.previous == hrl.GENESIS else ""),
    ]
    for number, said in enumerate(head.frames):
        span = f"{said['first']} to {said['last']}"
        lines.append(f"frame {number:<5} {span}: {said['records']} entries, {said['storedBytes']} bytes of {said['rawBytes']}")
        lines += _records(frames[number]) if frames else []
    return "\n".join(lines) + "\n", True


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(hrl.MAX_LOG + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None


def _secret(key: str) -> bytes:
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("--key takes the machine's key in base64") from None
    if len(secret) != hrl.KEY_BYTES:
        raise UsageError(f"--key takes {hrl.KEY_BYTES} bytes in base64, these are {len(secret)}")
    return secret


def _frames(raw: bytes, head: LogHead, secret: bytes) -> list[Frame]:
    return list(hrl.read(raw, secret, machine_id=head.machine_id, generation=head.generation, first=head.first).frames)


def _flags(head: LogHead) -> str:
    words = [word for flag, word in ((hrl.COMPRESSED, "compressed"), (hrl.ENCRYPTED, "sealed")) if head.flags & flag]
    return ", ".join(words) or "none"


def _records(frame: Frame) -> list[str]:
    shown = [
        f"  {record.kind.name:<11} disk {record.disk} at {record.offset}, {record.length} bytes"
        if record.tag is None
        else f"  {record.kind.name:<11} {record.tag.kind} point {record.tag.point_id} at {iso(record.when)}"
        for record in frame.records[:MOST_RECORDS]
    ]
    rest = len(frame.records) - len(shown)
    return shown + ([f"  and {rest} more"] if rest else [])
