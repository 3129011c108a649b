"""The record of a run, from which every report comes: `run.ndjson`.

One JSON object a line: a `header`, then a `requirement` line before the first case of each requirement, a `case` line for each
case, a `footer`. Without the footer the run was cut off and no report is made of it. The schema is `record.schema.json`.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from harness.product import Description
from harness.spec import FORMAT, Requirement, Source
from harness.verdict import (
    CONFORMANT,
    ERROR,
    EXEMPT,
    EXEMPT_BUT_PASSES,
    FAIL,
    INCOMPLETE,
    INCONCLUSIVE,
    PASS,
    UNDECIDED,
    VERDICTS,
    WITH_EXEMPTIONS,
    claim_word,
)

DONE, NOT_RIGHT, USAGE, OURS, NOTHING = 0, 1, 2, 3, 5
_RIGHT = (CONFORMANT, WITH_EXEMPTIONS)


class RecordError(Exception):
    """A record that cannot be used, with the reason."""


@dataclass(frozen=True, slots=True)
class Axes:
    """What is the same for a whole run."""

    seed: int
    profile: str
    era: str
    way: str
    claims: tuple[str, ...]
    command: str = ""
    specifications: str = ""  #: stamp of what was asked
    sharpness: str = ""  #: how many wrong products the specifications find, as `drillbed kill` measured it


@dataclass(frozen=True, slots=True)
class Record:
    """A complete record, read back."""

    header: dict[str, Any]
    requirements: dict[str, dict[str, Any]]
    cases: list[dict[str, Any]]
    footer: dict[str, Any]


def requirement_record(requirement: Requirement) -> dict[str, Any]:
    """A requirement as the record holds it."""
    return {
        "id": requirement.id,
        "area": requirement.area,
        "level": requirement.level,
        "profile": requirement.profile,
        "claim": requirement.claim,
        "status": requirement.status,
        "counted": requirement.counted,
        "statement": requirement.statement,
        "where": f"{requirement.where}:{requirement.line}",
        "source": [_source(source) for source in requirement.source],
        "against": [_source(source) for source in requirement.against],
    }


def _source(source: Source) -> dict[str, str]:
    page = source.page
    return {"page": page.key, "title": page.title, "path": page.path, "commit": page.commit, "dated": page.dated,
            "says": source.says, "row": source.row}  # fmt: skip


def harness_version() -> str:
    try:
        return version("drillbed")
    except PackageNotFoundError:
        return "unknown"


@dataclass(slots=True)
class Recorder:
    """Writes the record while a run goes on, and says in the end what the run is worth. `folder` None: nothing is written."""

    folder: Path | None
    description: Description
    axes: Axes
    stopped: bool = False  #: ended before everything was asked (-x, Ctrl-C)
    partial: bool = False  #: only a selection was asked (-k, -m, an id)
    unread: int = 0  #: files that could not be collected
    exemptions: list[dict[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  #: for the last lines of the run
    baseline: bool = False  #: only what got worse than in an earlier run counts for the exit code
    _worse: list[str] = field(default_factory=list)
    _file: TextIO | None = None
    _seen: set[str] = field(default_factory=set)
    _verdicts: Counter[str] = field(default_factory=Counter)
    _claims: dict[str, list[str]] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)

    def open(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (self.folder / "run.ndjson").open("w", encoding="utf-8")
        what = self.description
        product = {**asdict(what), "capabilities": sorted(what.capabilities)}
        head = {"kind": "header", "format": FORMAT, "harness": harness_version(), "product": product, **asdict(self.axes)}
        self._write(head | {"exemptions": self.exemptions, "baseline": self.baseline})

    def case(self, record: dict[str, Any]) -> None:
        """One finished case, as a worker sent it."""
        requirement, case = record["requirement"], record["case"]
        if requirement["id"] not in self._seen:
            self._seen.add(requirement["id"])
            self._write({"kind": "requirement", **requirement})
        verdict = case["verdict"]
        self._verdicts[verdict] += 1
        if self.baseline and requirement["counted"] and not case["known"]:
            self._worse.append(f"{case['case']}: {verdict}")
        if requirement["counted"]:
            self._claims.setdefault(requirement["claim"], []).append(verdict)
        elif verdict in (FAIL, INCONCLUSIVE):
            self._notes.append(f"{case['case']}: {case['seen']}")
        self._write({"kind": "case", "requirement": requirement["id"], "name": record["name"], "attempt": 1, **case})

    def lost(self, node: str, why: str) -> None:
        """A case whose result never came."""
        self._verdicts[ERROR] += 1
        self._claims.setdefault("", []).append(ERROR)
        self._write({"kind": "lost", "node": node, "why": why[-2000:]})

    def words(self) -> dict[str, str]:
        """Claim to word. Where the run was stopped nothing is conformant, and where a result was lost nothing is decided."""
        if self._claims.get(""):
            return {claim: UNDECIDED for claim in sorted(self._claims) if claim}
        words = {claim: claim_word(verdicts) for claim, verdicts in sorted(self._claims.items())}
        if self.stopped:
            return {claim: INCOMPLETE if word in _RIGHT else word for claim, word in words.items()}
        return words

    def close(self, exitstatus: int) -> int:
        """Ends the record; returns the exit code. `exitstatus` is pytest's own."""
        code = self._exit_code(exitstatus)
        counts = {verdict: self._verdicts[verdict] for verdict in VERDICTS}
        if exitstatus in (0, 1, 5):
            self._write({"kind": "footer", "counts": counts, "claims": self.words(), "notes": self._notes,
                         "partial": self.partial or self.stopped, "exit": code})  # fmt: skip
        if self._file is not None:
            self._file.close()
            self._file = None
        return code

    def _exit_code(self, exitstatus: int) -> int:
        if exitstatus not in (0, 1, 5):
            # Interrupted, a mistake in a specification or on the command line (2, 4), or broken (3).
            return OURS if exitstatus == OURS else USAGE
        if self.unread:
            return USAGE
        if self._verdicts[ERROR]:
            return OURS
        if not any(self._verdicts[verdict] for verdict in (PASS, FAIL, INCONCLUSIVE, EXEMPT, EXEMPT_BUT_PASSES)):
            return NOTHING
        if self._verdicts[EXEMPT_BUT_PASSES]:
            return NOT_RIGHT
        right = not self._worse if self.baseline else all(word in _RIGHT for word in self.words().values())
        # Ordinary tests may have run beside the cases: their failure counts too.
        return DONE if right and exitstatus == 0 else NOT_RIGHT

    def summary(self) -> list[str]:
        """The last lines of a run, for people."""
        counts = ", ".join(f"{self._verdicts[verdict]} {verdict}" for verdict in VERDICTS if self._verdicts[verdict])
        lines = [f"{claim}: {word}" for claim, word in self.words().items()]
        lines += [f"note: {note}" for note in self._notes]
        lines.append(counts or "nothing was asked")
        if self.baseline:
            lines += [f"worse than the baseline: {text}" for text in self._worse] or ["nothing got worse than in the baseline"]
        lines += self.remarks
        if self.partial or self.stopped:
            lines.append("only a part was asked: the words above speak of that part")
        if self.folder is not None:
            lines.append(f"record: {self.folder / 'run.ndjson'}")
        return lines

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()


def read_record(path: Path) -> Record:
    """A complete record. One that was cut off, or is no record, is a `RecordError`."""
    lines = []
    try:
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                lines.append(json.loads(text))
            except ValueError as problem:
                raise RecordError(f"{path}:{number}: not JSON, the record was cut off or changed") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise RecordError(f"{path} cannot be read: {problem}") from problem
    if not lines or lines[0].get("kind") != "header":
        raise RecordError(f"{path} does not begin with a header")
    if lines[0].get("format") != FORMAT:
        raise RecordError(f"{path} has the format {lines[0].get('format')!r}, this is format {FORMAT}")
    if lines[-1].get("kind") != "footer":
        raise RecordError(f"{path} has no footer: the run was cut off")
    requirements = {line["id"]: line for line in lines if line["kind"] == "requirement"}
    cases = sorted((line for line in lines if line["kind"] == "case"), key=_order)
    if sum(lines[-1]["counts"].values()) != len(cases) + sum(line["kind"] == "lost" for line in lines):
        raise RecordError(f"{path}: the footer counts other cases than the record holds")
    return Record(lines[0], requirements, cases, lines[-1])


def _order(case: dict[str, Any]) -> str:
    return str(case["case"])
