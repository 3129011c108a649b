"""A real guest under QEMU, without hardware help: the machine's own kernel, and an initramfs of busybox with a script."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

BUSYBOX, QEMU = shutil.which("busybox"), shutil.which("qemu-system-x86_64")
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")

START = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in $(cat /modules/order); do insmod /modules/$module; done
{script}
echo guest-done
poweroff -f
"""


def kernel() -> Path | None:
    """A kernel of this machine whose modules are here too, as files that `insmod` takes as they are."""
    for found in sorted(Path("/boot").glob("vmlinuz-*"), reverse=True):
        version = found.name.removeprefix("vmlinuz-")
        if list(Path("/lib/modules", version).rglob("virtio_blk.ko")):
            return found
    return None


def missing() -> str:
    """Why no guest can be started here; empty when one can."""
    wanted = {
        "qemu-system-x86_64 (Debian package qemu-system-x86)": QEMU,
        "busybox (Debian package busybox-static)": BUSYBOX,
        "a kernel with its modules (Debian package linux-image-cloud-amd64)": kernel(),
    }
    return ", ".join(name for name, found in wanted.items() if found is None)


def boot(folder: Path, disk: str, script: str, *, busy: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Start a guest whose /dev/vda is the disk at an NBD URI. It runs `script` and switches itself off; stdout is its console."""
    initramfs = _initramfs(folder, script)
    command = [str(QEMU), "-accel", "tcg", "-m", "192", "-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel())]
    command += ["-initrd", str(initramfs), "-append", "console=ttyS0 quiet panic=-1"]
    command += ["-drive", f"file={disk},format=raw,if=virtio,cache=none", *busy]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _initramfs(folder: Path, script: str) -> Path:
    root = folder / "initramfs"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "dev", "proc", "mnt", "modules"):
        (root / name).mkdir(parents=True)
    assert BUSYBOX is not None
    shutil.copy(BUSYBOX, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "modules/order").write_text("\n".join(_modules(root / "modules")))
    (root / "init").write_text(START.format(script=script))
    (root / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    packed = subprocess.run(
        [BUSYBOX, "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), capture_output=True, check=True
    )
    (folder / "initramfs.cpio").write_bytes(packed.stdout)
    return folder / "initramfs.cpio"


def _modules(folder: Path) -> list[str]:
    """Copy the modules and what they need; gives their names in the order in which they are loaded."""
    chosen = kernel()
    assert chosen is not None
    home = Path("/lib/modules", chosen.name.removeprefix("vmlinuz-"))
    needs = dict(line.split(":", 1) for line in (home / "modules.dep").read_text().splitlines())
    paths = {Path(path).name: path for path in needs}
    order: list[str] = []
    for module in MODULES:
        path = paths.get(f"{module}.ko")
        for needed in [*reversed(needs[path].split()), path] if path else ():  # what is not there is built in
            if needed not in order:
                order.append(needed)
    for path in order:
        shutil.copy(home / path, folder)
    return [Path(path).name for path in order]
