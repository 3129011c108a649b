"""What the specifications hold, as text: `drillbed list`, `drillbed words`, `drillbed trace ID`."""

from collections.abc import Iterable
from pathlib import Path

from harness.conform import SPECS
from harness.not_asked import load_not_asked
from harness.spec import Requirement, Source, load_specs
from harness.terms import terms
from harness.vocabulary import GROUPS


def list_text(*, claim: str | None = None, profile: str | None = None, folder: Path = SPECS) -> str:
    """All requirements, one a line: id, level, claim, number of cases, statement."""
    claims = None if claim is None else claim.split(",")
    found = [
        requirement
        for requirement in load_specs(folder)
        if (claims is None or requirement.claim in claims) and (profile is None or requirement.profile in (profile, "both"))
    ]
    lines = [f"{r.id:<9} {r.level:<7}{r.claim:<10}{len(r.cases):>3}  {r.statement}" for r in found]
    cases = sum(len(requirement.cases) for requirement in found)
    return "\n".join([*lines, f"{len(found)} requirements, {cases} cases"]) + "\n"


def words_text() -> str:
    """The vocabulary: each word with where it may stand, how it is written and what it means; then the closed lists."""
    lines = []
    for group in GROUPS:
        lines += [f"# {(group.__doc__ or '').splitlines()[0]}", ""]
        for word in group.WORDS:
            parts = ", ".join(part for part in ("given", "but", "when", "then") if part in word.parts)
            lines += [f"{word.signature()}    [{parts}]", *(f"    {line.strip()}" for line in word.meaning.splitlines())]
            lines += [f"    example: {word.name}: {word.example}"] if word.example else []
            lines.append("")
    for name, values in terms().items():
        lines += [f"# {name}", "", *(f"{value}: {meaning}" for value, meaning in values.items()), ""]
    return "\n".join(lines)


def trace_text(requirement_id: str, *, folder: Path = SPECS) -> str | None:
    """One requirement from its sources to its cases, or why it is not asked. None where nothing is known of the id."""
    for requirement in load_specs(folder):
        if requirement.id == requirement_id:
            return "\n".join(_traced(requirement)) + "\n"
    reasons = load_not_asked(folder)
    if requirement_id in reasons:
        return f"{requirement_id} is not asked: {reasons[requirement_id]}\n"
    return None


def _traced(requirement: Requirement) -> Iterable[str]:
    yield f"{requirement.id} ({requirement.level}, {requirement.profile}, claim {requirement.claim}, {requirement.status})"
    yield f"  {requirement.statement}"
    yield f"  {requirement.where}:{requirement.line}"
    yield f"  review: {_review(requirement)}"
    for lead, sources in (("source", requirement.source), ("against", requirement.against)):
        yield from (f"  {lead}: {_shown(source)}" for source in sources)
    for case in requirement.cases:
        yield f"  {case.id}"
        for part in ("given", "but", "when", "then"):
            yield from (f"      {part:<6} {step.text}" for step in getattr(case, part))


def _review(requirement: Requirement) -> str:
    if requirement.stale_review:
        return f"changed since ({requirement.reviewed}); now {requirement.stamp}"
    return f"current ({requirement.stamp})" if requirement.reviewed else f"none; the stamp would be {requirement.stamp}"


def _shown(source: Source) -> str:
    row = f" [row {source.row}]" if source.row else ""
    return f"{source.page.title} ({source.page.path}, {source.page.dated}, {source.page.commit}){row}: {source.says}"
