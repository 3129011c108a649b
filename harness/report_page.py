"""The report for people: one HTML page without scripts or files from elsewhere."""

from collections.abc import Iterator
from html import escape
from typing import Any

from harness.picture import timeline, traffic
from harness.record import Record
from harness.verdict import CONFORMANT, PASS, WITH_EXEMPTIONS

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --odd: #9a6700; --quiet: #8888; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 2px solid var(--line) } h3 { font-size: 1rem; margin: 0 }
table { border-collapse: collapse } td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top }
details { border-top: 1px solid var(--line); padding: .35rem 0 } summary { cursor: pointer } summary h3 { display: inline }
details details { margin-left: 1.5rem } .source { color: GrayText; margin: .2rem 0 .2rem 1.5rem }
.steps { margin: .3rem 0 .3rem 1.5rem; font: 13px/1.45 ui-monospace, monospace; overflow-x: auto }
.v { display: inline-block; min-width: 6.5rem; font-weight: 600 }
.pass { color: var(--good) } .fail, .error { color: var(--bad) } .inconclusive, .unobservable { color: var(--odd) }
.unsupported { color: var(--quiet) } .seen { color: var(--bad) }
svg { display: block; max-width: 100%; height: auto; margin: .4rem 0 .8rem }
"""


def page(record: Record) -> str:
    """The whole page."""
    head, product = record.header, record.header["product"]
    title = f"{product['name']} {product['version']}: conformance"
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        f"<p>Profile {escape(head['profile'])}, era {escape(head['era'])}, seed {head['seed']}, {escape(head['way'])} time, "
        f"harness {escape(head['harness'])}.<br><code>{escape(head['command'])}</code>"
        f"<br>The suite {escape(head.get('sharpness', 'was not measured'))}.</p>",
        *_claims(record),
    ]
    for claim in sorted({requirement["claim"] for requirement in record.requirements.values()}):
        parts.append(f"<h2>{escape(claim)}</h2>")
        for requirement in record.requirements.values():
            if requirement["claim"] == claim:
                parts += _requirement(record, requirement)
    return "\n".join(parts) + "\n"


def _claims(record: Record) -> Iterator[str]:
    yield "<table><tr><th>Claim<th>Verdict</tr>"
    for claim, word in record.footer["claims"].items():
        colour = "pass" if word == CONFORMANT else "inconclusive" if word == WITH_EXEMPTIONS else "fail"
        yield f"<tr><td>{escape(claim)}<td class={colour}><b>{escape(word)}</b></tr>"
    yield "</table><table><tr><th>Cases<th></tr>"
    for verdict, count in record.footer["counts"].items():
        if count:
            yield f"<tr><td class={verdict}>{verdict}<td>{count}</tr>"
    yield "</table>"
    if record.header.get("exemptions"):
        yield "<p>Exemptions of the vendor:</p><ul>"
        for one in record.header["exemptions"]:
            link = f" ({escape(one['link'])})" if one["link"] else ""
            yield f"<li>{escape(one['what'])} until {escape(one['until'])}: {escape(one['reason'])}{link}</li>"
        yield "</ul>"
    if record.footer["partial"]:
        yield "<p><b>Only a part was asked:</b> the words above speak of that part.</p>"
    if record.footer["notes"]:
        yield "<p>Notes (advice, or not yet counted):</p><ul>"
        yield from (f"<li>{escape(note)}</li>" for note in record.footer["notes"])
        yield "</ul>"


def _requirement(record: Record, requirement: dict[str, Any]) -> Iterator[str]:
    cases = [case for case in record.cases if case["requirement"] == requirement["id"]]
    worst = next((case["verdict"] for case in cases if case["verdict"] != PASS), PASS)
    counted = "" if requirement["counted"] else ", not counted"
    yield f"<details{'' if worst == PASS else ' open'}><summary><span class='v {worst}'>{worst}</span>"
    yield f"<h3>{escape(requirement['id'])}</h3> <small>({requirement['level']}{counted})</small>"
    yield f"{escape(requirement['statement'])}</summary>"
    for name in ("source", "against"):
        for source in requirement[name]:
            says = f"{source['title']} ({source['dated']}, {source['commit']}): {source['says']}"
            yield f"<p class=source>{'Against: ' if name == 'against' else ''}{escape(says)}</p>"
    for case in cases:
        yield from _case(case)
    yield "</details>"


def _case(case: dict[str, Any]) -> Iterator[str]:
    verdict = case["verdict"]
    yield f"<details{'' if verdict == PASS else ' open'}><summary><span class='v {verdict}'>{verdict}</span>"
    yield f"{escape(case['name'])}</summary>"
    yield "<table class=steps>"
    for step in case["steps"]:
        yield f"<tr><td>{step['ended']:.0f} s<td>{step['part']}<td>{escape(step['step'])}<td>{escape(step['seen'])}</tr>"
    yield "</table>"
    pictures = timeline(case) + traffic(case)
    if pictures:
        shown = "" if verdict == PASS else " open"
        yield f"<details{shown}><summary>timeline and traffic</summary>{pictures}</details>"
    if verdict != PASS:
        yield f"<p class=seen>{escape(case['judgement'])} ({escape(case['place'])}); seen: {escape(case['seen'])}</p>"
    yield "</details>"
