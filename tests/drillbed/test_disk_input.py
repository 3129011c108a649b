"""What a user may give as DISK, and what gets one clear line instead."""

import gzip
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from drillbed import disk_input
from drillbed.disk_input import MIB, make_disk
from drillbed.errors import TroubleError, UsageError


def content(path: Path) -> bytes:
    return path.read_bytes()


def test_a_raw_image_is_taken_as_it_is_and_padded_to_whole_mib(tmp_path: Path) -> None:
    given = tmp_path / "given.img"
    given.write_bytes(Random(7).randbytes(3 * MIB + 512))
    made = make_disk(tmp_path / "work", given)
    assert made.size == 4 * MIB
    assert content(made.path) == content(given) + bytes(MIB - 512)


def test_holes_stay_holes(tmp_path: Path) -> None:
    given = tmp_path / "sparse.img"
    with given.open("wb") as writing:
        writing.seek(200 * MIB)
        writing.write(b"end".ljust(512, b"\0"))
    made = make_disk(tmp_path / "work", given)
    assert made.path.stat().st_blocks * 512 < 8 * MIB
    assert content(made.path)[200 * MIB :][:3] == b"end"


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (Debian package qemu-utils)")
@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vpc", "vhdx"])
def test_what_qemu_img_reads_is_converted(tmp_path: Path, kind: str) -> None:
    raw, given = tmp_path / "raw.img", tmp_path / f"given.{kind}"
    raw.write_bytes(Random(7).randbytes(2 * MIB))
    options = ["-o", "force_size=on,subformat=fixed"] if kind == "vpc" else []
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *options, str(raw), str(given)], check=True)
    made = make_disk(tmp_path / "work", given)
    assert content(made.path)[: 2 * MIB] == content(raw)


def test_the_default_is_a_disk_full_of_real_files(tmp_path: Path) -> None:
    made = make_disk(tmp_path, None)
    assert made.size == made.path.stat().st_size >= 256 * MIB
    assert made.path.stat().st_blocks * 512 > 50 * MIB
    if "ext4" in made.what:
        with made.path.open("rb") as reading:
            reading.seek(1080)
            assert reading.read(2) == b"\x53\xef"  # the magic of ext2, 3 and 4
    assert [entry.name for entry in tmp_path.iterdir()] == ["input.raw"]


def test_without_mke2fs_an_archive_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_input.shutil, "which", lambda *_args, **_kwargs: None)
    monkeypatch.setattr(disk_input, "FILES_SHARE", 0.02)
    made = make_disk(tmp_path, None)
    assert "archive" in made.what
    assert content(made.path)[257:262] == b"ustar"


def wrong_path(folder: Path) -> Path:
    return folder / "nothing.img"


def a_folder(folder: Path) -> Path:
    return folder


def a_text(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("not a disk")
    return path


def a_cut_image(folder: Path) -> Path:
    path = folder / "cut.img"
    path.write_bytes(bytes(1000))
    return path


def a_compressed_image(folder: Path) -> Path:
    path = folder / "disk.img.gz"
    path.write_bytes(gzip.compress(bytes(MIB)).ljust(4096, b"\0"))
    return path


def an_empty_file(folder: Path) -> Path:
    path = folder / "empty.img"
    path.touch()
    return path


def a_broken_qcow2(folder: Path) -> Path:
    path = folder / "broken.qcow2"
    path.write_bytes(b"QFI\xfb" + Random(7).randbytes(1020))
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (wrong_path, "there is no disk image"),
        (a_folder, "is not a file"),
        (a_text, "a text file"),
        (a_cut_image, "not a whole number of 512-byte sectors"),
        (a_compressed_image, "gunzip"),
        (an_empty_file, "is empty"),
        (a_broken_qcow2, "qemu-img"),
    ],
)
def test_what_is_not_a_disk_gets_one_clear_line(tmp_path: Path, make: object, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        make_disk(tmp_path / "work", make(tmp_path))  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_without_qemu_img_an_image_that_needs_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_input.shutil, "which", lambda *_args, **_kwargs: None)
    with pytest.raises(UsageError, match="apt-get install qemu-utils"):
        make_disk(tmp_path / "work", a_broken_qcow2(tmp_path))


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("sleep 60", "was not done with `info` after 1 s"),
        (f"{sys.executable} -c 'bytes(3 << 30)'", "cannot read it: MemoryError"),
    ],
    ids=["hangs", "eats"],
)
def test_an_image_on_which_qemu_img_hangs_or_grows_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str
) -> None:
    """What a hostile image would have it do, done by a stand-in: qemu-img's own faults are not ours to know."""
    tool = tmp_path / "bin/qemu-img"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nexec {does}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    monkeypatch.setitem(disk_input.PATIENCE, "info", 1 if "sleep" in does else 30)
    with pytest.raises(UsageError, match=says):
        make_disk(tmp_path / "work", a_broken_qcow2(tmp_path))


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (Debian package qemu-utils)")
def test_a_small_image_of_an_enormous_disk_is_refused_before_it_is_converted(tmp_path: Path) -> None:
    given = tmp_path / "huge.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(given), "60T"], check=True)
    with pytest.raises(TroubleError, match="a disk of 62,914,560 MiB, needs about"):
        make_disk(tmp_path / "work", given)
    assert not list((tmp_path / "work").iterdir())


def test_an_image_larger_than_the_free_space_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given.img"
    given.write_bytes(Random(7).randbytes(2 * MIB))
    usage = shutil.disk_usage(tmp_path)._replace(free=MIB)
    monkeypatch.setattr(disk_input.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(TroubleError, match=r"needs about 10 MiB .* 1 MiB are free"):
        make_disk(tmp_path / "work", given)
    assert list((tmp_path / "work").iterdir()) == []


def test_holes_count_when_an_image_is_larger_than_the_free_space(tmp_path: Path) -> None:
    given = tmp_path / "large.img"
    with given.open("wb") as writing:
        writing.truncate(shutil.disk_usage(tmp_path).free + (1 << 40) >> 9 << 9)
    with pytest.raises(TroubleError, match="MiB are free: free some space or choose another folder"):
        make_disk(tmp_path / "work", given)
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (Debian package qemu-utils)")
def test_an_image_may_not_have_other_files_read(tmp_path: Path) -> None:
    secret, overlay = tmp_path / "elsewhere" / "secret.raw", tmp_path / "overlay.qcow2"
    secret.parent.mkdir()
    secret.write_bytes(Random(7).randbytes(MIB))
    made = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(overlay)]
    subprocess.run(made, check=True)
    with pytest.raises(UsageError, match="needs the bytes of another file"):
        make_disk(tmp_path / "work", overlay)
    flat, stolen = tmp_path / "flat.vmdk", tmp_path / "stolen.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", str(flat), "1M"], check=True)
    assert make_disk(tmp_path / "work", flat).size == MIB  # the part beside a VMDK is its own
    stolen.write_bytes(flat.read_bytes().replace(b"flat-flat.vmdk", str(secret).encode()))
    with pytest.raises(UsageError, match="needs the bytes of another file"):
        make_disk(tmp_path / "work", stolen)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img (Debian package qemu-utils)")
def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "a:b.qcow2"), "1M"], check=True)
    assert make_disk(tmp_path / "work", Path("a:b.qcow2")).size == MIB
