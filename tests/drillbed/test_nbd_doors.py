"""Real programs are the workload of a protected machine: their bytes arrive in Azure, where the same doors show them."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import qemu_guest

from drillbed.errors import UsageError
from drillbed.estate import Estate
from drillbed.opening import open_estate
from drillbed.up import UpOptions, images_of

MIB = 1 << 20


def needs(*tools: tuple[str, str]) -> pytest.MarkDecorator:
    absent = ", ".join(f"{tool} (Debian package {package})" for tool, package in tools if shutil.which(tool) is None)
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {absent}")


FIO, QEMU_IO, NBDCOPY = ("fio", "fio"), ("qemu-io", "qemu-utils"), ("nbdcopy", "libnbd-bin")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def beside(estate: Estate, process: "subprocess.Popen[str]") -> str:
    """Let the estate's time go on while a program runs; gives what it said."""
    try:
        while process.poll() is None:
            estate.clock.wait(1.0)
        said = process.communicate(timeout=10)[0]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, said
    return said


def content(uri: str, folder: Path) -> bytes:
    run("nbdcopy", uri, str(folder / "copied.raw"))
    return (folder / "copied.raw").read_bytes()


@needs(QEMU_IO, NBDCOPY)
def test_an_image_goes_in_and_is_found_in_azure_with_what_was_written(tmp_path: Path) -> None:
    raw, given = tmp_path / "given.img", tmp_path / "given.qcow2"
    raw.write_bytes(Random(5).randbytes(3 * MIB) + bytes(2 * MIB))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", str(raw), str(given))
    with open_estate("web", image=given, nbd=True) as estate:
        onprem = estate.nbd("web")
        assert content(onprem[0], tmp_path) == raw.read_bytes()
        estate.protect("web")
        estate.vault.until_state("web", "Protected")
        run("qemu-io", "-f", "raw", "-c", "write -P 0x5a 4M 96k", "-c", "write -z 0 64k", "-c", "flush", onprem[0])
        estate.vault.failover("web", shut_down=True)
        azure = estate.nbd("web")
        assert azure[0] != onprem[0]
        with pytest.raises(subprocess.CalledProcessError):  # the machine on premises is off
            run("qemu-io", "-f", "raw", "-c", "read 0 512", onprem[0])
        expected = bytearray(raw.read_bytes())
        expected[0 : 64 << 10], expected[4 * MIB : 4 * MIB + (96 << 10)] = bytes(64 << 10), b"\x5a" * (96 << 10)
        assert content(azure[0], tmp_path) == expected
        run("qemu-io", "-f", "raw", "-c", "write -P 0x5b 1M 64k", "-c", "read -P 0x5b 1M 64k", azure[0])
        assert estate.azure_disks("web")[0].read(MIB, 4096) == b"\x5b" * 4096


@needs(FIO)
def test_what_fio_writes_during_the_first_copy_is_verified_by_fio_in_azure(tmp_path: Path) -> None:
    job = ["fio", "--name=w", "--ioengine=nbd", "--rw=randwrite", "--bssplit=4k/70:64k/30", "--iodepth=8", "--size=8m"]
    job += ["--verify=crc32c", "--randseed=7", f"--aux-path={tmp_path}"]
    with open_estate("web", nbd=True) as estate:
        estate.protect("web")
        writing = [*job, f"--uri={estate.nbd('web')[0]}", "--do_verify=0"]
        beside(estate, subprocess.Popen(writing, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path))
        estate.vault.until_state("web", "Protected")
        estate.vault.failover("web", shut_down=True)
        reading = [*job, f"--uri={estate.nbd('web')[0]}", "--verify_only=1"]
        beside(estate, subprocess.Popen(reading, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path))
        damaged = estate.azure_disks("web")[0]
        damaged.write(MIB, bytes(reversed(damaged.read(MIB, 64 << 10))))
        done = subprocess.run(reading, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode != 0, "fio would not have noticed"


WRITING = """
mke2fs -q /dev/vda && mount -t ext2 /dev/vda /mnt
cp /bin/busybox /mnt/busybox
for i in 1 2 3 4 5 6 7 8; do head -c 200000 /dev/urandom > /mnt/file$i; sync; done
rm /mnt/file3
cd /mnt; sha256sum busybox file*; cd /
umount /mnt
"""
READING = "mount -r -t ext2 /dev/vda /mnt; cd /mnt; sha256sum busybox file*; cd /; umount /mnt"


@pytest.mark.skipif(bool(qemu_guest.missing()), reason=f"not installed: {qemu_guest.missing()}")
def test_a_guest_of_qemu_runs_on_a_replicated_disk_and_again_in_azure(tmp_path: Path) -> None:
    """Linux makes a file system and files on a replicated disk; after the failover it boots on the other side."""
    with open_estate("web", nbd=True, disk_mib=16) as estate:
        estate.protect("web")
        estate.vault.until_state("web", "Protected")
        written = files(beside(estate, qemu_guest.boot(tmp_path, estate.nbd("web")[0], WRITING)))
        assert len(written) == 8
        assert written["busybox"] == hashlib.sha256(Path(str(qemu_guest.BUSYBOX)).read_bytes()).hexdigest()
        estate.vault.failover("web", shut_down=True)
        assert estate.hashes(estate.onprem_disks("web")) == estate.boot_hashes("azure", "web")
        assert files(beside(estate, qemu_guest.boot(tmp_path, estate.nbd("web")[0], READING))) == written


def files(console: str) -> dict[str, str]:
    assert "guest-done" in console, console
    return {name: digest for digest, name in re.findall(r"([0-9a-f]{64})  (\w+)", console)}


@needs(NBDCOPY, QEMU_IO)
def test_drillbed_up_opens_doors_to_disks_with_given_content(tmp_path: Path) -> None:
    """As a user has it: an image of another kind goes in, its bytes come out through the door that `status` names."""
    raw, given = tmp_path / "given.img", tmp_path / "given.vmdk"
    raw.write_bytes(Random(6).randbytes(2 * MIB))
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", str(raw), str(given))
    drillbed = [sys.executable, "-m", "drillbed"]
    up = [*drillbed, "up", "--detach", "--vms", "2", "--nbd", "--disk", str(given), "--out", str(tmp_path / "up")]
    assert subprocess.run(up, capture_output=True, text=True, timeout=120).returncode == 0
    try:
        shown = run(*drillbed, "status", "--out", str(tmp_path / "up"))
        doors = {line.split()[1]: line.split()[3:] for line in shown.splitlines() if line.strip().startswith("nbd ")}
        assert {"web", "app"} <= doors.keys()
        assert len(doors["web"]) == 2
        assert content(doors["web"][0], tmp_path) == raw.read_bytes()
    finally:
        run(*drillbed, "down", "--out", str(tmp_path / "up"))
    with pytest.raises(subprocess.CalledProcessError):
        run("nbdcopy", doors["web"][0], str(tmp_path / "late.raw"))


def test_without_the_option_nothing_is_open() -> None:
    with open_estate("web") as estate, pytest.raises(LookupError, match="nbd=True"):
        estate.nbd("web")
    with open_estate("web", nbd=True) as estate:
        assert set(estate.nbd("web")) == {0, 1}
        estate.vsphere.power("web", on=False)
        with pytest.raises(LookupError, match="does not run"):
            estate.nbd("web")


@pytest.mark.parametrize(
    ("disks", "says"),
    [(("mail=a.img",), "no machine mail; there are web, app"), (("a.img", "web=b.img"), "web has an image already")],
)
def test_images_for_machines_that_cannot_have_them_are_refused(disks: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        images_of(UpOptions(Path("out"), vms=2, disks=disks))
    assert images_of(UpOptions(Path("out"), vms=2, disks=("a.img", "app=b=c.img"))) == {
        "web": Path("a.img"),
        "app": Path("b=c.img"),
    }
