"""Specification files: requirements and the scenarios that check them, read strictly and compiled to cases.

`load_specs(folder)` reads everything below a folder. A mistake is a `SpecError` with file and line.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.cases import Case, compile_cases
from harness.strict_yaml import Node, SpecError, load
from harness.terms import terms

FORMAT = 1
#: Files in a folder of specifications that hold no requirements.
NOT_REQUIREMENTS = frozenset({"sources.yaml", "not-asked.yaml"})

_ID = re.compile(r"[A-Z]{2,4}-[0-9]{3}")
_FILE_KEYS = {"format", "area", "requirements"}
REQUIREMENT_KEYS = {
    "level", "profile", "eras", "claim", "needs", "status", "since", "statement", "source", "against", "reviewed", "scenarios",
}  # fmt: skip
_SOURCE_KEYS = {"page", "says", "row"}
_PAGE_KEYS = {"title", "path", "commit", "dated"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page that requirements rest on. `commit` is `unpinned` where the text was seen in a stored copy only."""

    key: str
    title: str
    path: str
    commit: str
    dated: str


@dataclass(frozen=True, slots=True)
class Source:
    page: Page
    says: str
    row: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One statement about a product."""

    id: str
    area: str
    level: str
    profile: str
    eras: tuple[str, ...]
    claim: str
    needs: tuple[str, ...]
    status: str
    statement: str
    source: tuple[Source, ...]
    against: tuple[Source, ...]
    where: str
    line: int
    since: str = ""
    stamp: str = ""  #: what `reviewed` has to be for the review to cover the text as it stands
    reviewed: str = ""
    cases: tuple[Case, ...] = field(default=())

    @property
    def stale_review(self) -> bool:
        """Reviewed once, and changed since."""
        return bool(self.reviewed) and self.reviewed != self.stamp

    @property
    def counted(self) -> bool:
        """Whether a failure costs the claim."""
        return self.level == "must" and self.status == "stable"

    def applies(self, profile: str, era: str) -> bool:
        """Whether it is asked in a run of this profile and era."""
        in_profile = self.profile in ("both", profile) or (self.profile == "secondary-site" and self.claim == "secondary-site")
        return self.status != "retired" and in_profile and (not self.eras or era in self.eras)


def load_specs(folder: Path) -> list[Requirement]:
    """All requirements below a folder, in the order of their files."""
    found: list[Requirement] = []
    for path in spec_files(folder):
        found += load_file(path, folder)
    _unique(found)
    return found


def spec_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.yaml") if path.name not in NOT_REQUIREMENTS)


def load_file(path: Path, folder: Path) -> list[Requirement]:
    """The requirements of one file. `folder` holds `sources.yaml`."""
    where = str(path.relative_to(folder.parent)) if path.is_relative_to(folder.parent) else str(path)
    pages = load_pages(folder / "sources.yaml")
    top = load(path, where)
    keys = _known(top, _FILE_KEYS, "the file")
    number = _needed(top, keys, "format")
    if number.value != FORMAT or isinstance(number.value, bool):
        raise number.error(f"format {number.plain()!r} is not known, this is format {FORMAT}")
    area = _needed(top, keys, "area").text("area")
    requirements = _needed(top, keys, "requirements").mapping("requirements")
    return [_requirement(name, node, area, pages) for name, node in requirements.items()]


def load_pages(path: Path) -> dict[str, Page]:
    """`sources.yaml`: key to page."""
    where = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise SpecError(where, 1, "there is no such file; it holds the pages that requirements rest on")
    found = {}
    for key, node in load(path, where).mapping("the file").items():
        fields = _known(node, _PAGE_KEYS, f"the page {key}")
        values = {name: _needed(node, fields, name).text(name) for name in ("title", "path", "commit", "dated")}
        found[key] = Page(key, **values)
    return found


def _requirement(name: str, node: Node, area: str, pages: dict[str, Page]) -> Requirement:
    if not _ID.fullmatch(name):
        raise node.error(f"{name!r} is not the id of a requirement (such as FO-002)")
    keys = _known(node, REQUIREMENT_KEYS, name)
    statement = _needed(node, keys, "statement").text("statement")
    if re.search(r"\b(MUST|SHOULD|MAY)\b", statement):
        raise keys["statement"].error("a statement holds no MUST, SHOULD or MAY: the level says that")
    needs = tuple(_term(item, "capabilities") for item in keys["needs"].items("needs")) if "needs" in keys else ()
    cases = compile_cases(name, _needed(node, keys, "scenarios"), needs)
    _twins(name, node, cases)
    return Requirement(
        id=name,
        area=area,
        level=_term(_needed(node, keys, "level"), "levels"),
        profile=_term(_needed(node, keys, "profile"), "profiles"),
        eras=_eras(keys.get("eras")),
        claim=_term(_needed(node, keys, "claim"), "claims"),
        needs=needs,
        status=_term(keys["status"], "statuses") if "status" in keys else "stable",
        statement=" ".join(statement.split()),
        source=_sources(_needed(node, keys, "source"), pages),
        against=_sources(keys["against"], pages) if "against" in keys else (),
        where=node.where,
        line=node.line,
        since=keys["since"].text("since") if "since" in keys else "",
        stamp=_stamp(keys),
        reviewed=keys["reviewed"].text("reviewed") if "reviewed" in keys else "",
        cases=cases,
    )


def _stamp(keys: dict[str, Node]) -> str:
    """A hash over what a reviewer compares: statement, sources, scenarios."""
    read = {name: keys[name].plain() for name in ("statement", "source", "against", "scenarios") if name in keys}
    return "r" + hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()[:16]


def _twins(name: str, node: Node, cases: tuple[Case, ...]) -> None:
    """Where a requirement wants something refused, something has to be accepted too: else a product that refuses all passes."""
    words = {word for case in cases for word in case.judged}
    if "refused" in words and not any("accepted" in case.judged and "refused" not in case.judged for case in cases):
        raise node.error(f"{name} wants a refusal but has no positive twin: add `otherwise`, or a scenario that is `accepted`")


def _eras(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    eras = node.items("eras")
    for era in eras:
        if not isinstance(era.value, int) or isinstance(era.value, bool):
            raise era.error(f"an era is a year, not {era.plain()!r}")
    return tuple(str(era.value) for era in eras)


def _sources(node: Node, pages: dict[str, Page]) -> tuple[Source, ...]:
    found = []
    for item in node.items("source"):
        keys = _known(item, _SOURCE_KEYS, "a source")
        page = _needed(item, keys, "page").text("page")
        if page not in pages:
            raise keys["page"].error(f"sources.yaml has no page {page!r}")
        row = keys["row"].text("row") if "row" in keys else ""
        says = " ".join(_needed(item, keys, "says").text("says").split())
        found.append(Source(pages[page], says, row))
    if not found:
        raise node.error("a requirement needs at least one source")
    return tuple(found)


def _known(node: Node, allowed: set[str], what: str) -> dict[str, Node]:
    keys = node.mapping(what)
    for key, value in keys.items():
        if key not in allowed:
            raise value.error(f"{what} has an unknown key {key!r} (known: {', '.join(sorted(allowed))})")
    return keys


def _needed(node: Node, keys: dict[str, Node], name: str) -> Node:
    if name not in keys:
        raise node.error(f"`{name}` is missing")
    return keys[name]


def _term(node: Node, of: str) -> Any:
    value = node.text(of)
    if value not in terms()[of]:
        raise node.error(f"{value!r} is not one of the {of} ({', '.join(terms()[of])})")
    return value


def _unique(requirements: Iterable[Requirement]) -> None:
    seen: dict[str, Requirement] = {}
    for requirement in requirements:
        if requirement.id in seen:
            first = seen[requirement.id]
            raise SpecError(requirement.where, requirement.line, f"{requirement.id} stands already in {first.where}:{first.line}")
        seen[requirement.id] = requirement
