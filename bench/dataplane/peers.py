"""restic and borg on the same image: a first copy, then one after the same changes. Into the same Azurite, and into a folder."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def absent() -> list[str]:
    return [tool for tool in ("restic", "rclone", "borg") if shutil.which(tool) is None]


def _run(command: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
    return time.perf_counter() - begun


def restic(folder: Path, image: Path, changed: Path, address: str) -> tuple[float, float]:
    """Seconds of the first and second backup with restic's own compression, through rclone into the account at a SAS address."""
    configuration = folder / "rclone.conf"
    configuration.write_text(f"[az]\ntype = azureblob\nsas_url = {address}\n")
    environment = {"RESTIC_PASSWORD": "x", "RESTIC_CACHE_DIR": str(folder / "restic-cache"), "RCLONE_CONFIG": str(configuration)}
    environment |= {"RCLONE_NO_CHECK_CERTIFICATE": "true"}  # the estate's certificates have names, and this is an address
    repository = ["restic", "-q", "-r", "rclone:az:restic"]
    _run([*repository, "init"], environment)
    backup = [*repository, "--compression", "auto", "backup", "--ignore-inode"]
    return _both(folder, image, changed, lambda at: [*backup, str(at)], environment)


def borg(folder: Path, image: Path, changed: Path) -> tuple[float, float]:
    """Seconds of both, zstd 1 and fixed blocks of 64 KiB (its quickest second backup), into a folder."""
    environment = {"BORG_PASSPHRASE": "x", "BORG_BASE_DIR": str(folder / "borg-base")}
    _run(["borg", "init", "-e", "repokey-blake2", str(folder / "borg")], environment)
    options = ["borg", "create", "--compression", "zstd,1", "--chunker-params", "fixed,65536"]
    return _both(folder, image, changed, lambda at: [*options, f"{folder}/borg::v{time.monotonic_ns()}", str(at)], environment)


def _both(
    folder: Path, image: Path, changed: Path, command: Callable[[Path], list[str]], environment: dict[str, str]
) -> tuple[float, float]:
    at, seconds = folder / "given.img", []
    for content in (image, changed):
        at.unlink(missing_ok=True)
        os.link(content, at)
        subprocess.run(["cat", str(at)], stdout=subprocess.DEVNULL, check=True)  # it is in memory, as for ours
        seconds.append(_run(command(at), environment))
    return seconds[0], seconds[1]
