"""`not-asked.yaml`: rows of the catalogue that no requirement asks, each with its reason."""

import re
from pathlib import Path

from harness.strict_yaml import load

_ID = re.compile(r"[A-Z]{2,4}-[0-9]{3}")


def load_not_asked(folder: Path) -> dict[str, str]:
    """Row to reason. Nothing where the file is absent; a `SpecError` where it is wrong."""
    path = folder / "not-asked.yaml"
    if not path.is_file():
        return {}
    found = {}
    for row, node in load(path, f"{folder.name}/{path.name}").mapping("the file").items():
        if not _ID.fullmatch(row):
            raise node.error(f"{row!r} is not the id of a row (such as REP-009)")
        found[row] = " ".join(node.text(f"the reason of {row}").split())
    return found
