"""The footer of a fixed VHD, as `qemu-img convert -O vpc -o subformat=fixed,force_size` writes it."""

import struct
import uuid
from dataclasses import dataclass

SECTOR = 512
FOOTER = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427s")
FIXED = 2
NO_DATA_OFFSET = (1 << 64) - 1
#: Seconds between 1970 and 2000, where the format counts from.
EPOCH_2000 = 946684800
MAX_GEOMETRY = (65535, 16, 255)


class NotVhd(ValueError):
    """Not the footer of a fixed VHD; the message says why."""


@dataclass(frozen=True, slots=True)
class Footer:
    """What a footer says: the size of the disk in bytes, its identity and when it was made (epoch seconds)."""

    size: int
    identity: str
    made: float


def footer(size: int, identity: str, made: float) -> bytes:
    """The 512 bytes that follow a disk of `size` bytes (a multiple of 512) in a fixed VHD."""
    if size <= 0 or size % SECTOR:
        raise ValueError(f"a disk of {size} bytes is not made of {SECTOR}-byte sectors")
    cylinders, heads, sectors = MAX_GEOMETRY
    stamp = max(0, int(made) - EPOCH_2000)
    fields = [b"conectix", 2, 0x10000, NO_DATA_OFFSET, stamp, b"qem2", 0x50003, b"Wi2k", size, size, cylinders, heads, sectors]
    tail = [uuid.UUID(identity).bytes, 0, bytes(427)]
    blank = FOOTER.pack(*fields, FIXED, 0, *tail)
    return FOOTER.pack(*fields, FIXED, ~sum(blank) & 0xFFFFFFFF, *tail)


def read_footer(raw: bytes) -> Footer:
    """The footer in `raw` (512 bytes). Raises `NotVhd`."""
    if len(raw) != SECTOR:
        raise NotVhd(f"a footer has {SECTOR} bytes, not {len(raw)}")
    parts = FOOTER.unpack(raw)
    if parts[0] != b"conectix":
        raise NotVhd("no footer of a VHD: wrong cookie")
    if parts[13] != FIXED:
        raise NotVhd("not a fixed VHD")
    if ~(sum(raw) - sum(raw[64:68])) & 0xFFFFFFFF != parts[14]:
        raise NotVhd("the footer's checksum does not match")
    return Footer(parts[9], str(uuid.UUID(bytes=parts[15])), float(parts[4] + EPOCH_2000))
