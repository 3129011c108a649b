"""What got worse between two records: `--baseline FILE`, `drillbed compare A B`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.record import Record
from harness.verdict import (
    CONFORMANT,
    ERROR,
    EXEMPT,
    EXEMPT_BUT_PASSES,
    FAIL,
    INCOMPLETE,
    INCONCLUSIVE,
    NOT_CONFORMANT,
    PASS,
    UNDECIDED,
    UNOBSERVABLE,
    UNSUPPORTED,
    WITH_EXEMPTIONS,
)

#: From good to bad. What stands on one step is alike.
_STEPS = ((PASS, EXEMPT_BUT_PASSES), (EXEMPT,), (UNOBSERVABLE,), (UNSUPPORTED,), (INCONCLUSIVE, FAIL), (ERROR,))
_RANK = {verdict: step for step, verdicts in enumerate(_STEPS) for verdict in verdicts}
_WORDS = (CONFORMANT, WITH_EXEMPTIONS, INCOMPLETE, NOT_CONFORMANT, UNDECIDED)


@dataclass(frozen=True, slots=True)
class Baseline:
    """The verdicts of an earlier run, by case."""

    verdicts: dict[str, str]

    @classmethod
    def of(cls, record: Record) -> "Baseline":
        return cls({case["case"]: case["verdict"] for case in record.cases})

    def known(self, case: str, verdict: str) -> bool:
        """Whether the earlier run was no better in this case. A case that is new has nothing to excuse it."""
        before = self.verdicts.get(case)
        return before is not None and _RANK[verdict] <= _RANK[before]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs beside each other. `text` is for people; `worse` says whether anything got worse."""

    text: str
    worse: bool


def compare(before: Record, after: Record) -> Comparison:
    """What changed from `before` to `after`, case by case and claim by claim."""
    lines = [f"before: {_title(before)}", f"after:  {_title(after)}", *_axes(before, after), ""]
    changes = list(_changes(before, after))
    lines += [text for _, text in changes] or ["no case changed"]
    words = list(_words(before, after))
    lines += ["", *[text for _, text in words]] if words else []
    return Comparison("\n".join(lines) + "\n", any(worse for worse, _ in (*changes, *words)))


def _title(record: Record) -> str:
    product, head = record.header["product"], record.header
    return f"{product['name']} {product['version']}, {head['profile']}, era {head['era']}, seed {head['seed']}, {head['way']}"


def _axes(before: Record, after: Record) -> Iterator[str]:
    if before.header.get("specifications") != after.header.get("specifications"):
        yield "the specifications differ between the two"


def _changes(before: Record, after: Record) -> Iterator[tuple[bool, str]]:
    old, new = _cases(before), _cases(after)
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was is None and now is not None:
            yield _RANK[now["verdict"]] > 0, f"new     {name}: {now['verdict']}"
        elif now is None and was is not None:
            # What is asked no more cannot be said to have stayed right.
            yield was["verdict"] == PASS and not after.footer["partial"], f"gone    {name}: was {was['verdict']}"
        elif was is not None and now is not None and was["verdict"] != now["verdict"]:
            worse = _RANK[now["verdict"]] > _RANK[was["verdict"]]
            seen = f" ({now['judgement']}; seen: {now['seen']})" if worse else ""
            yield worse, f"{'worse' if worse else 'better':<7} {name}: {was['verdict']} -> {now['verdict']}{seen}"


def _cases(record: Record) -> dict[str, dict[str, Any]]:
    return {case["case"]: case for case in record.cases}


def _words(before: Record, after: Record) -> Iterator[tuple[bool, str]]:
    old, new = before.footer["claims"], after.footer["claims"]
    for claim in sorted(old.keys() & new.keys()):
        if old[claim] != new[claim]:
            worse = _WORDS.index(new[claim]) > _WORDS.index(old[claim])
            yield worse, f"claim {claim}: {old[claim]} -> {new[claim]}"
