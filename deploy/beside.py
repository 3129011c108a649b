"""Install what cannot live in the tests' own environment, once: `beside.py folder|environment PATH REQUIREMENT`.

`folder` is for a package whose name another version holds already; `environment` for a program with requirements of its own.
Without an index to install from it says so and leaves nothing: the tests that need it are skipped.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path


def install(kind: str, path: Path, requirement: str) -> bool:
    """Whether it is there afterwards."""
    done = path / "installed"
    if done.exists() and done.read_text() == requirement:
        return True
    shutil.rmtree(path, ignore_errors=True)
    sys.stderr.write(f"installing {requirement} in {path} (once)\n")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if kind == "environment":
        venv.create(path, with_pip=True)
        command = [str(path / "bin" / "python"), *pip[1:], requirement]
    else:
        command = [*pip, "--no-deps", "--target", str(path), requirement]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - pip, with what tox.ini says
        shutil.rmtree(path, ignore_errors=True)
        sys.stderr.write(f"{requirement} could not be installed: the tests that need it will be skipped\n")
        return False
    done.write_text(requirement)
    return True


if __name__ == "__main__":
    install(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
