"""VMDK on disk: the descriptor text, and the tables of a delta ("COWD", vmfsSparse) extent. `qemu-img` reads both."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
#: The largest disk that vSphere has.
MOST_BYTES = 62 * 1024**4
#: Size of one unit of change tracking, and of one grain of a delta.
BLOCK = 64 * 1024
GRAINS_PER_TABLE = 4096
_COWD = struct.Struct("<4sIIIIIIIIII")
_LIMIT = 64 * 1024


#: createType -> the kind of its extent: a whole disk, a delta, and mappings of a raw device (virtual and physical mode).
EXTENTS = {
    "vmfs": "VMFS",
    "vmfsSparse": "VMFSSPARSE",
    "vmfsRawDeviceMap": "VMFSRDM",
    "vmfsPassthroughRawDeviceMap": "VMFSRDM",
}


class NotAVmdk(ValueError):
    """The file is not a VMDK that this emulator wrote or can read; the message says which file and why."""


class CutShort(NotAVmdk):
    """The bytes end before the disk does: what came may have been right."""


@dataclass(slots=True)
class Descriptor:
    """What the small text file of a disk says. `uuid` has the form `6000C29x-....`; `parent` is the file the delta stands on."""

    size: int
    extent: str
    kind: str  #: a key of `EXTENTS`
    uuid: str
    thin: bool
    adapter: str = "lsilogic"
    parent: str = ""  #: relative to the descriptor's folder; a linked clone's lies in another one
    cid: str = "fffffffe"
    parent_cid: str = "ffffffff"
    eager: bool = False  #: every block was zeroed when the disk was made: all of it counts as allocated


def write_descriptor(path: Path, descriptor: Descriptor) -> None:
    """Write the descriptor file, whole or not at all."""
    sectors = descriptor.size // SECTOR
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        'encoding="UTF-8"',
        f"CID={descriptor.cid}",
        f"parentCID={descriptor.parent_cid}",
        f'createType="{descriptor.kind}"',
    ]
    if descriptor.parent:
        lines.append(f'parentFileNameHint="{descriptor.parent}"')
    lines += [
        "",
        "# Extent description",
        f'RW {sectors} {EXTENTS[descriptor.kind]} "{descriptor.extent}"',
        "",
        "# The Disk Data Base",
        "#DDB",
        "",
        f'ddb.adapterType = "{descriptor.adapter}"',
        'ddb.geometry.sectors = "63"',
        'ddb.geometry.heads = "255"',
        f'ddb.geometry.cylinders = "{max(1, sectors // (63 * 255))}"',
        f'ddb.uuid = "{_spaced(descriptor.uuid)}"',
        'ddb.virtualHWVersion = "13"',
    ]
    if descriptor.thin:
        lines.append('ddb.thinProvisioned = "1"')
    if descriptor.eager:
        lines.append('ddb.eagerlyScrubbed = "1"')
    fresh = path.with_name(path.name + ".new")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_descriptor(path: Path) -> Descriptor:
    """Read a descriptor file. Raises `NotAVmdk` or `FileNotFoundError`."""
    with path.open("rb") as file:
        text = file.read(_LIMIT).decode("utf-8", "replace")
    if not text.startswith("# Disk DescriptorFile"):
        raise NotAVmdk(f"{path.name} is not a VMDK descriptor")
    values = {k.strip(): v.strip().strip('"') for k, _, v in (line.partition("=") for line in text.splitlines() if "=" in line)}
    extent = re.search(r'^RW (\d+) (VMFS|VMFSSPARSE|VMFSRDM|FLAT) "([^"/\\]+)"', text, re.MULTILINE)
    if extent is None:
        raise NotAVmdk(f"{path.name} names no extent that can be read")
    size = int(extent[1]) * SECTOR if len(extent[1]) < 20 else 0
    if not 0 < size <= MOST_BYTES:
        raise NotAVmdk(f"{path.name} tells of a disk that is not possible")
    parent = values.get("parentFileNameHint", "")
    if parent.startswith("/") or "\\" in parent:
        raise NotAVmdk(f"{path.name} has its parent on another datastore")
    kind = values.get("createType", "")
    if EXTENTS.get(kind) != extent[2]:
        kind = "vmfsSparse" if extent[2] == "VMFSSPARSE" else "vmfs"
    return Descriptor(
        size=size,
        extent=extent[3],
        kind=kind,
        uuid=_joined(values.get("ddb.uuid", "")),
        thin=values.get("ddb.thinProvisioned") == "1",
        adapter=values.get("ddb.adapterType", "lsilogic"),
        parent=parent,
        cid=_content_id(values.get("CID"), "fffffffe"),
        parent_cid=_content_id(values.get("parentCID"), "ffffffff"),
        eager=values.get("ddb.eagerlyScrubbed") == "1",
    )


def _content_id(told: str | None, otherwise: str) -> str:
    return told.lower() if told is not None and re.fullmatch(r"[0-9a-fA-F]{8}", told) else otherwise


@dataclass(frozen=True, slots=True)
class DeltaShape:
    """Where the tables of a delta extent lie. All tables exist from the start (they are holes in the file)."""

    blocks: int
    tables: int
    table_offset: int  #: bytes
    data_offset: int  #: bytes


def delta_shape(size: int) -> DeltaShape:
    """Layout of the delta of a disk of `size` bytes."""
    blocks = -(-size // BLOCK)
    tables = -(-blocks // GRAINS_PER_TABLE)
    directory = 4 * SECTOR
    table_offset = directory + -(-tables * 4 // SECTOR) * SECTOR
    end = table_offset + tables * GRAINS_PER_TABLE * 4
    return DeltaShape(blocks, tables, table_offset, -(-end // BLOCK) * BLOCK)


def delta_header(size: int) -> bytes:
    """Header and grain directory of an empty delta."""
    shape = delta_shape(size)
    head = _COWD.pack(
        b"COWD", 1, 3, size // SECTOR, BLOCK // SECTOR, 4, shape.tables, shape.data_offset // SECTOR, 0, 0, 0
    )  # version, flags, sectors, grain, directory at, tables, free sector, geometry
    first = shape.table_offset // SECTOR
    per_table = GRAINS_PER_TABLE * 4 // SECTOR
    directory = struct.pack(f"<{shape.tables}I", *(first + table * per_table for table in range(shape.tables)))
    return head.ljust(4 * SECTOR, b"\0") + directory


def _spaced(uuid: str) -> str:
    digits = uuid.replace("-", "").lower()
    pairs = [digits[i : i + 2] for i in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def _joined(text: str) -> str:
    digits = re.sub(r"[^0-9a-fA-F]", "", text).upper()
    if len(digits) != 32:
        return ""
    lower = digits[:7] + digits[7:].lower()
    return f"{lower[:8]}-{lower[8:12]}-{lower[12:16]}-{lower[16:20]}-{lower[20:]}"
