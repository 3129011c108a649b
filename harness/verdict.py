"""What can come out of a scenario, and what a claim is worth after a run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
UNSUPPORTED, UNOBSERVABLE, ERROR = "unsupported", "unobservable", "error"
#: Listed in the vendor's exemptions, and fails as listed, or passes.
EXEMPT, EXEMPT_BUT_PASSES = "exempt", "exempt-but-passes"
VERDICTS = (PASS, FAIL, INCONCLUSIVE, UNSUPPORTED, UNOBSERVABLE, EXEMPT, EXEMPT_BUT_PASSES, ERROR)

CONFORMANT, INCOMPLETE, NOT_CONFORMANT, UNDECIDED = "conformant", "incomplete", "not conformant", "undecided"
WITH_EXEMPTIONS = "with exemptions"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as it happened. Times are emulated seconds since the world opened."""

    part: str
    step: str
    place: str
    began: float
    ended: float
    seen: str = ""


@dataclass(slots=True)
class Result:
    """What came out of one case. `judgement` is the step that decided (failed, was not reached, broke), `seen` what was seen."""

    case: str
    verdict: str
    judgement: str = ""
    place: str = ""
    seen: str = ""
    seed: int = 0
    steps: list[StepRecord] = field(default_factory=list)
    flows: list[dict[str, Any]] = field(default_factory=list)  #: what crossed the network since the set-up ended
    events: list[dict[str, Any]] = field(default_factory=list)  #: what the product began and ended, since the world opened

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def summary(self) -> str:
        if self.verdict == PASS:
            return "pass"
        return f"{self.verdict}: {self.judgement} ({self.place}); seen: {self.seen}"


def claim_word(verdicts: Iterable[str]) -> str:
    """A claim's word from the verdicts of its counted cases."""
    found = set(verdicts)
    if ERROR in found:
        return UNDECIDED
    if found & {FAIL, INCONCLUSIVE, UNSUPPORTED}:
        return NOT_CONFORMANT
    if UNOBSERVABLE in found:
        return INCOMPLETE
    if found & {EXEMPT, EXEMPT_BUT_PASSES}:
        return WITH_EXEMPTIONS
    return CONFORMANT
