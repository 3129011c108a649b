"""The footer that makes a replica a fixed VHD, as Azure wants its disks: bytes, then 512 bytes of description."""

import struct
import uuid

MIB = 1 << 20
FOOTER_BYTES = 512
_FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427s")
_EPOCH_2000 = 946684800


def disk_bytes(size: int) -> int:
    """Azure takes whole mebibytes."""
    return size + -size % MIB


def blob_bytes(size: int) -> int:
    return disk_bytes(size) + FOOTER_BYTES


def footer(size: int, identity: str, made: float) -> bytes:
    """The footer of a disk of `size` bytes."""
    stamp = max(0, int(made) - _EPOCH_2000)
    head = (b"conectix", 2, 0x10000, (1 << 64) - 1, stamp, b"qem2", 0x50003, b"Wi2k", size, size, 65535, 16, 255, 2)
    tail = (uuid.UUID(identity).bytes, 0, bytes(427))
    blank = _FOOTER.pack(*head, 0, *tail)
    return _FOOTER.pack(*head, ~sum(blank) & 0xFFFFFFFF, *tail)
