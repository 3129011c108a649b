"""The disk that a drill replicates: an ext4 file system full of real files of this machine, or an image the user gives.

Everything here makes a *raw* file; the vCenter emulator takes its bytes as the content of a VMDK.
"""

import errno
import json
import os
import resource
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drillbed.errors import TroubleError, UsageError, remedy

MIB = 1024 * 1024

#: The default disk is this large; a little more than half of it is files.
DEFAULT_SIZE = 256 * MIB
FILES_SHARE = 0.6

#: Where real files are taken from, in this order, until there are enough.
SOURCES = ("/usr/share/doc", "/usr/share/perl", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share", "/usr/bin", "/usr/lib")

#: A drill holds the bytes of a disk several times at once: source, replica, test copy, failed-over copy, logs.
COPIES = 5

#: What the first bytes of a file say about it. Everything else is taken as raw.
MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"QFI\xfb", "qcow2"),
    (b"KDMV", "vmdk"),
    (b"# Disk DescriptorFile", "vmdk"),
    (b"conectix", "vpc"),
    (b"vhdxfile", "vhdx"),
    (b"<<< Oracle VM VirtualBox Disk Image >>>", "vdi"),
)


#: What people give by mistake: offset, bytes, what it is and what to do.
NO_DISKS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "is compressed with gzip: unpack it first (`gunzip -k`)"),
    (0, b"\xfd7zXZ\0", "is compressed with xz: unpack it first (`unxz -k`)"),
    (0, b"\x28\xb5\x2f\xfd", "is compressed with zstd: unpack it first (`unzstd`)"),
    (0, b"BZh", "is compressed with bzip2: unpack it first (`bunzip2 -k`)"),
    (0, b"PK\x03\x04", "is a zip archive: unpack it and give the image inside"),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive: unpack it and give the image inside"),
    (257, b"ustar", "is a tar archive (an OVA is one, too): unpack it and give the image inside"),
    (0, b"%PDF-", "is a PDF document: give a disk image"),
    (0, b"\x7fELF", "is a program: give a disk image"),
)

#: What qemu-img may use on one image (memory in bytes, processor seconds), and how long it may take, in seconds.
LIMITS = ((resource.RLIMIT_AS, 2 << 30), (resource.RLIMIT_CPU, 1800))
PATIENCE = {"info": 60, "convert": 3600}

#: Bytes of text files. A disk holds at least one other in its first sectors.
TEXT = bytes([*range(0x20, 0x7F), *b"\t\n\r\f\x1b", *range(0x80, 0x100)])


@dataclass(frozen=True, slots=True)
class DiskInput:
    """A raw image in the estate's folder. `size` in bytes, a whole number of MiB; `what` says where it came from."""

    path: Path
    size: int
    what: str


def make_disk(folder: Path, given: Path | None) -> DiskInput:
    """The drill's real input in `folder`. Raises `UsageError` or `TroubleError`."""
    folder.mkdir(parents=True, exist_ok=True)
    return _from_image(folder, given) if given is not None else _from_machine(folder)


def raw_image(given: Path, folder: Path) -> DiskInput:
    """An image of any kind as a raw file of whole MiB: itself where it is that already, else a copy in `folder`.

    Raises `UsageError` or `TroubleError`.
    """
    if given.is_file() and given.suffix == ".raw" and given.stat().st_size and given.stat().st_size % MIB == 0:
        kind, head = _look(given)
        if kind == "raw":
            _refuse_no_disk(given, head)
            return DiskInput(given, given.stat().st_size, f"{given.name} (raw)")
    folder.mkdir(parents=True, exist_ok=True)
    return _from_image(folder, given)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse before anything is written when `needed` bytes will not fit."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise TroubleError(
            f"{what} needs about {needed // MIB:,} MiB in {folder}, but {free // MIB:,} MiB are free: "
            "free some space or choose another folder with --out"
        )


# an image the user gives -------------------------------------------------------------------------------------------------


def _from_image(folder: Path, given: Path) -> DiskInput:
    kind, head = _look(given)
    raw = folder / "input.raw"
    if kind == "raw":
        _refuse_no_disk(given, head)
        _take_raw(given, raw)
    else:
        _convert(given.resolve(), kind, raw)  # qemu-img takes `name:` at the start of a relative path for a protocol
    _pad(raw)
    return DiskInput(raw, raw.stat().st_size, f"{given.name} ({kind})")


def _look(given: Path) -> tuple[str, bytes]:
    """What kind of image a file is, and its first bytes. Raises `UsageError` when it cannot be read."""
    if not given.exists():
        raise UsageError(f"there is no disk image {given}: give the path of a raw, qcow2, VMDK, VHD or VHDX file")
    if not given.is_file():
        kind = "a folder" if given.is_dir() else "a device"
        raise UsageError(f"{given} is not a file but {kind}: give the path of a raw, qcow2, VMDK, VHD or VHDX image")
    try:
        with given.open("rb") as opened:
            head = opened.read(4096)
            opened.seek(max(0, given.stat().st_size - 512))
            tail = opened.read(512)
    except OSError as error:
        raise UsageError(f"{given} cannot be read ({error.strerror}): give an image that this user may read") from error
    return next(
        (kind for magic, kind in MAGICS if head.startswith(magic)), "vpc" if tail.startswith(b"conectix") else "raw"
    ), head


def _refuse_no_disk(given: Path, head: bytes) -> None:
    found = next((what for offset, magic, what in NO_DISKS if head[offset:].startswith(magic)), None)
    if found is not None:
        raise UsageError(f"{given} {found}")
    if not head:
        raise UsageError(f"{given} is empty: give a disk image")
    if given.stat().st_size < MIB and not head.translate(None, TEXT):
        raise UsageError(f"{given} is not a disk image but a text file: give a raw, qcow2, VMDK, VHD or VHDX image")
    if given.stat().st_size % 512:
        raise UsageError(
            f"{given} is not a disk image: its size, {given.stat().st_size} bytes, is not a whole number of 512-byte sectors"
        )


def _require_image_space(folder: Path, given: Path, size: int, held: int) -> None:
    """`size` is what the image holds as a disk, `held` how much of it is there. A disk never has to fit, but may grow to that."""
    require_space(folder, max(size, held * COPIES), f"a drill with {given.name}, a disk of {size // MIB:,} MiB,")


def _take_raw(given: Path, raw: Path) -> None:
    status = given.stat()
    _require_image_space(raw.parent, given, status.st_size, min(status.st_size, status.st_blocks * 512))
    _copy_sparse(given, raw)


def _convert(given: Path, kind: str, raw: Path) -> None:
    if shutil.which("qemu-img") is None:
        raise UsageError(
            f"{given} is a {kind} image and qemu-img is not installed: run `apt-get install qemu-utils`, or give raw"
        )
    described = json.loads(_qemu_img(given, kind, "info", "--output=json", "-f", kind, "--", str(given)))
    _refuse_other_files(given, kind, described)
    size = int(described["virtual-size"])
    if size == 0:
        raise UsageError(f"{given} is an empty {kind} image: there is nothing to replicate")
    _require_image_space(raw.parent, given, size, min(size, int(described.get("actual-size", given.stat().st_size))))
    _qemu_img(given, kind, "convert", "-f", kind, "-O", "raw", "--", str(given), str(raw))


def _qemu_img(given: Path, kind: str, *arguments: str) -> str:
    """What qemu-img says. Raises `UsageError` when it cannot read the image, `TroubleError` when there is no room.

    It gets no more memory and processor time than an honest image needs: who made the image may have meant to use it up.
    """
    command = [shutil.which("qemu-img") or "qemu-img", *arguments]
    with subprocess.Popen(  # noqa: S603 - no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        for limit, most in LIMITS:
            with suppress(OSError):  # it may have ended by now
                resource.prlimit(running.pid, limit, (most, most))
        try:
            said, complained = running.communicate(timeout=PATIENCE[arguments[0]])
        except subprocess.TimeoutExpired:
            running.kill()
            raise UsageError(
                f"{given} is not a usable {kind} image: qemu-img was not done with `{arguments[0]}` "
                f"after {PATIENCE[arguments[0]]} s"
            ) from None
    if running.returncode == 0:
        return said
    if running.returncode < 0:
        raise UsageError(f"{given} is not a usable {kind} image: qemu-img needed more memory or time than an image may take")
    reason = (complained.strip().splitlines() or ["no reason given"])[-1]
    if os.strerror(errno.ENOSPC) in reason:
        raise TroubleError(f"there was not enough space to convert {given}: free some, or choose another folder with --out")
    raise UsageError(f"{given} looks like a {kind} image but qemu-img cannot read it: {reason.removeprefix('qemu-img: ')}")


def _refuse_other_files(given: Path, kind: str, described: dict[str, Any]) -> None:
    """An image may name other files to be read. Only parts of a VMDK beside it are: who made the image may not choose more."""
    data = described.get("format-specific", {}).get("data", {})
    named = [described.get("backing-filename"), data.get("data-file")]
    parts = [extent.get("filename") for extent in data.get("extents", ())] if kind == "vmdk" else []
    named += [part for part in parts if part and Path(part).resolve().parent != given.parent]
    other = next((name for name in named if name), None)
    if other is not None:
        raise UsageError(
            f"{given} needs the bytes of another file, {other}: make one image of them (`qemu-img convert -O qcow2 OLD NEW`)"
        )


def _copy_sparse(source: Path, target: Path) -> None:
    """Copy and leave runs of zeros as holes."""
    zeros = bytes(MIB)
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(MIB):
            if block == zeros[: len(block)]:
                writing.seek(len(block), os.SEEK_CUR)
            else:
                writing.write(block)
        writing.truncate(source.stat().st_size)


def _pad(raw: Path) -> None:
    """A fixed VHD in Azure holds whole MiB."""
    size = raw.stat().st_size
    os.truncate(raw, (size + MIB - 1) // MIB * MIB)


# real files of this machine ----------------------------------------------------------------------------------------------


def _from_machine(folder: Path) -> DiskInput:
    require_space(folder, DEFAULT_SIZE * COPIES, "a drill")
    raw = folder / "input.raw"
    raw.unlink(missing_ok=True)
    staged = folder / "files"
    shutil.rmtree(staged, ignore_errors=True)
    count, size = _stage(staged, int(DEFAULT_SIZE * FILES_SHARE))
    tool = shutil.which("mke2fs") or shutil.which("mke2fs", path="/usr/sbin:/sbin")
    try:
        if tool is None:
            _archive(staged, raw)
            what = f"an archive of {count} files of this machine, {size // MIB} MiB (no mke2fs here)"
        else:
            _make_file_system(tool, staged, raw)
            what = f"an ext4 file system with {count} files of this machine, {size // MIB} MiB"
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return DiskInput(raw, DEFAULT_SIZE, what)


def _stage(folder: Path, wanted: int) -> tuple[int, int]:
    """Copy real files until there are `wanted` bytes. Returns their number and size."""
    count = total = 0
    for path in _real_files():
        try:
            size = path.stat().st_size
            if size == 0 or size > wanted // 8 or total + size > wanted:
                continue
            target = folder / path.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            _place(path, target)
        except OSError as error:  # a file that cannot be read or went away is not needed
            if remedy(error) is not None:
                raise
            continue
        count, total = count + 1, total + size
        if total > wanted * 0.98:
            break
    return count, total


def _place(source: Path, target: Path) -> None:
    """The file under another name: a hard link where that is possible, which costs nothing, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _real_files() -> Iterator[Path]:
    for source in SOURCES:
        for parent, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.is_file() and not path.is_symlink():
                    yield path


def _make_file_system(tool: str, staged: Path, raw: Path) -> None:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [tool, "-q", "-F", "-t", "ext4", "-b", "4096", "-d", str(staged), str(raw), f"{DEFAULT_SIZE // 1024}k"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise TroubleError(
            f"mke2fs could not make the drill's file system: {done.stderr.strip()}; give an image of your own with --disk"
        )


def _archive(staged: Path, raw: Path) -> None:
    with tarfile.open(raw, "w") as archive:
        archive.add(staged, arcname=".")
    os.truncate(raw, DEFAULT_SIZE)
