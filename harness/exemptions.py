"""Exemptions: what a vendor knows to be wrong, why, and until when. The file is the vendor's, never ours.

    - what: RPR-007::not-enabled[FALSE]        # a case, not a requirement: its twin stays asked
      fails: "refused: {because: disk-uuid-disabled}"
      reason: Any value counts as enabled
      link: ACME-1234
      until: 2027-01-31                        # past that day it exempts no more
      when: {profile: classic}                 # or era, way; may be left out

A case that fails as listed is `exempt`. One that fails otherwise still fails; one that passes is `exempt-but-passes`: take the
entry out.
"""

import datetime
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.record import Axes, Record
from harness.strict_yaml import Node, SpecError, load
from harness.verdict import EXEMPT, EXEMPT_BUT_PASSES, FAIL, PASS, Result

_KEYS = ("what", "fails", "reason", "link", "until", "when")
_NEEDED = ("what", "fails", "reason", "until")
_WHEN = ("profile", "era", "way")
_CASE = re.compile(r"[A-Z]{2,4}-[0-9]{3}::\S+")
#: How long an entry made by `drillbed exempt` lasts, in days.
DAYS = 90


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry of the file."""

    what: str
    fails: str
    reason: str
    until: datetime.date
    link: str = ""
    when: dict[str, str] = field(default_factory=dict)
    place: str = ""

    def applies(self, axes: Axes) -> bool:
        return all(getattr(axes, name) == value for name, value in self.when.items())


@dataclass(frozen=True, slots=True)
class Exemptions:
    """The entries that hold in one run, and those past their day."""

    entries: dict[str, Exemption] = field(default_factory=dict)
    ended: tuple[Exemption, ...] = ()

    def judge(self, result: Result) -> None:
        """Turns the verdict of a listed case into what the list makes of it."""
        entry = self.entries.get(result.case)
        if entry is None:
            return
        if result.verdict == PASS:
            result.verdict, result.judgement, result.place = EXEMPT_BUT_PASSES, "the exemption", entry.place
            result.seen = "it passes: take the entry out of the exemptions"
        elif result.verdict == FAIL and entry.fails in f"{result.judgement}; seen: {result.seen}":
            result.verdict = EXEMPT

    def unknown(self, cases: Collection[str]) -> list[Exemption]:
        """Entries for cases that do not exist."""
        return [entry for entry in self.entries.values() if entry.what not in cases]

    def plain(self) -> list[dict[str, str]]:
        """For the header of the record."""
        entries = self.entries.values()
        return [{"what": e.what, "reason": e.reason, "link": e.link, "until": e.until.isoformat()} for e in entries]


def load_exemptions(path: Path, axes: Axes, today: datetime.date) -> Exemptions:
    """The exemptions of a file for one run. Raises `SpecError` with file and line."""
    held: dict[str, Exemption] = {}
    ended: list[Exemption] = []
    for entry in read_entries(path):
        if not entry.applies(axes):
            continue
        if entry.until < today:
            ended.append(entry)
        elif entry.what in held:
            raise SpecError(
                path.name, int(entry.place.rsplit(":", 1)[1]), f"{entry.what} stands already in {held[entry.what].place}"
            )
        else:
            held[entry.what] = entry
    return Exemptions(held, tuple(ended))


def read_entries(path: Path) -> list[Exemption]:
    """All entries of a file."""
    return [_entry(node) for node in load(path, path.name).items("the exemptions")]


def _entry(node: Node) -> Exemption:
    keys = node.mapping("an exemption")
    for name, value in keys.items():
        if name not in _KEYS:
            raise value.error(f"an exemption has no {name!r} (known: {', '.join(_KEYS)})")
    for name in _NEEDED:
        if name not in keys or not keys[name].text(name):
            raise node.error(f"an exemption needs `{name}`" + (": say why, by hand" if name == "reason" else ""))
    what = keys["what"].text("what")
    if not _CASE.fullmatch(what):
        raise keys["what"].error(
            f"{what!r} is not a case (such as RPR-007::not-enabled[FALSE]); a requirement cannot be exempt as a whole"
        )
    when = {name: value.text(name) for name, value in keys["when"].mapping("when").items()} if "when" in keys else {}
    for name in when:
        if name not in _WHEN:
            raise keys["when"].error(f"`when` knows {', '.join(_WHEN)}, not {name!r}")
    fails, reason = keys["fails"].text("fails"), keys["reason"].text("reason")
    link = keys["link"].text("link") if "link" in keys else ""
    return Exemption(what, fails, reason, _day(keys["until"]), link, when, f"{node.where}:{node.line}")


def _day(node: Node) -> datetime.date:
    try:
        return datetime.date.fromisoformat(node.text("until"))
    except ValueError as problem:
        raise node.error(f"`until` is a day such as 2027-01-31, not {node.plain()!r}") from problem


# writing -------------------------------------------------------------------------------------------------------------------


def updated(old: Iterable[Exemption], record: Record, today: datetime.date) -> str:
    """The file for a run: entries of cases that still fail are kept, new ones want their reason, those that pass are gone."""
    kept = {entry.what: entry for entry in old}
    lines = ["# Made by drillbed exempt. An entry without a reason is not valid: say why, by hand."]
    for case in record.cases:
        if case["verdict"] not in (FAIL, EXEMPT):
            continue
        entry = kept.get(case["case"])
        until = entry.until if entry else today + datetime.timedelta(days=DAYS)
        lines += ["", f"- what: {_quoted(case['case'])}", f"  fails: {_quoted(entry.fails if entry else case['judgement'])}"]
        lines += [f"  reason: {_quoted(entry.reason if entry else '')}", f"  until: {until.isoformat()}"]
        lines += [f"  link: {_quoted(entry.link)}"] if entry and entry.link else []
        lines += (
            ["  when: {" + ", ".join(f"{name}: {_quoted(value)}" for name, value in entry.when.items()) + "}"]
            if entry and entry.when
            else []
        )
    return "\n".join(lines if len(lines) > 1 else [*lines, "[]"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
