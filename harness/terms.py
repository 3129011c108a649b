"""The closed lists behind the words, and the types that words give to their arguments."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from harness.strict_yaml import load

_HERE = Path(__file__).parent / "vocabulary"


@cache
def terms() -> dict[str, dict[str, str]]:
    """List name to (name to meaning): `reasons` and all lists of `terms.yaml`."""
    found: dict[str, dict[str, str]] = load(_HERE / "terms.yaml", "terms.yaml").plain()
    found["reasons"] = load(_HERE / "reasons.yaml", "reasons.yaml").plain()
    return found


@dataclass(frozen=True, slots=True)
class Term:
    """Marks an argument whose value must stand in a closed list."""

    of: str


@dataclass(frozen=True, slots=True)
class Nested:
    """Marks an argument that holds judgements."""


Reason = Annotated[str, Term("reasons")]
State = Annotated[str, Term("states")]
Health = Annotated[str, Term("healths")]
Operation = Annotated[str, Term("operations")]
Link = Annotated[str, Term("links")]
Capability = Annotated[str, Term("capabilities")]
#: A list of judgements, as compiled steps.
Steps = Annotated[tuple[Any, ...], Nested()]
