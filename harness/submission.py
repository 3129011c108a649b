"""What a vendor hands in: `submission/` beside the record, and `drillbed verify DIR`, which checks it before anybody reads it.

Nothing in a submission is believed that can be worked out again: counts, words of claims, seeds, the pages, and that every case
of the claims was asked, with the specifications that this harness has.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.cases import Case
from harness.kill_report import SPECS, stamp_of
from harness.record import NOT_RIGHT, Record, RecordError, read_record
from harness.report_page import page
from harness.scenario import case_seed
from harness.spec import Requirement, load_specs
from harness.strict_yaml import SpecError, load
from harness.verdict import CONFORMANT, ERROR, FAIL, INCONCLUSIVE, VERDICTS, WITH_EXEMPTIONS, claim_word

FOLDER = "submission"
FILES = ("product.yaml", "run.ndjson", "report.html", "README.md")
_SHOWN = 20


def write_submission(out: Path) -> Path:
    """Makes `submission/` of the complete record in `out`."""
    record = read_record(out / "run.ndjson")
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / "run.ndjson").write_bytes((out / "run.ndjson").read_bytes())
    (folder / "report.html").write_text(page(record), encoding="utf-8")
    (folder / "product.yaml").write_text(_product_text(record), encoding="utf-8")
    (folder / "README.md").write_text(_readme(record), encoding="utf-8")
    return folder


def _product_text(record: Record) -> str:
    """YAML whose values are JSON, which YAML knows."""
    product = record.header["product"]
    names = ("name", "version", "profiles", "eras", "claims", "capabilities")
    return "".join(f"{name}: {json.dumps(product[name], ensure_ascii=False)}\n" for name in names)


def _readme(record: Record) -> str:
    head, product = record.header, record.header["product"]
    words = "\n".join(f"- {claim}: {word}" for claim, word in record.footer["claims"].items())
    return (
        f"# {product['name']} {product['version']}\n\n"
        f"Profile {head['profile']}, era {head['era']}, seed {head['seed']}, {head['way']} way; "
        f"harness {head['harness']}, specifications {head['specifications']}.\n\n{words}\n\n"
        f"To run it again:\n\n    pytest {head['command']}\n\nTo check this folder: `drillbed verify .`\n"
    )


def verify(folder: Path, specs: Path = SPECS) -> list[str]:
    """What is wrong with a submission, a line each; nothing where it is as this harness would have written it."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        return [f"{folder} lacks {', '.join(missing)}"]
    try:
        record = read_record(folder / "run.ndjson")
        requirements = load_specs(specs)
        found = [*_counts(record), *_words(record), *_seeds(record), *_specifications(record, requirements)]
        found += [*_asked(record, requirements), *_files(folder, record)]
    except (RecordError, SpecError) as problem:
        return [str(problem)]
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        return [f"{folder / 'run.ndjson'} is no record of this format: {type(problem).__name__} {problem}"]
    return found


def _counts(record: Record) -> Iterator[str]:
    counted = Counter(case["verdict"] for case in record.cases)
    for verdict in VERDICTS:
        told = record.footer["counts"].get(verdict, 0)
        # A case whose result never came is counted as an error and has no line of its own.
        if told != counted[verdict] and not (verdict == ERROR and told > counted[verdict]):
            yield f"the footer counts {told} {verdict}, the record holds {counted[verdict]}"
    names = [case["case"] for case in record.cases]
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{name} stands {times} times in the record"


def _words(record: Record) -> Iterator[str]:
    claims: dict[str, list[str]] = {}
    for case in record.cases:
        requirement = record.requirements[case["requirement"]]
        if requirement["counted"]:
            claims.setdefault(requirement["claim"], []).append(case["verdict"])
    for claim in record.header["claims"]:
        told, right = record.footer["claims"].get(claim), claim_word(claims.get(claim, []))
        if claim in claims and told != right:
            yield f"the footer calls {claim} {told!r}; its cases make it {right!r}"
        if claim not in claims:
            yield f"the claim {claim} is made and nothing of it was asked"
    failing = any(word not in (CONFORMANT, WITH_EXEMPTIONS) for word in record.footer["claims"].values())
    if failing and record.footer["exit"] == 0 and not record.header["baseline"]:
        yield f"the footer says exit 0 where {NOT_RIGHT} is right"


def _seeds(record: Record) -> Iterator[str]:
    for case in record.cases:
        if case["seed"] != case_seed(record.header["seed"], case["case"]):
            yield f"{case['case']} has the seed {case['seed']}, not the one that seed {record.header['seed']} of the run gives"
        if case["verdict"] in (FAIL, INCONCLUSIVE) and not case["judgement"]:
            yield f"{case['case']} is {case['verdict']} without saying at what"


def _specifications(record: Record, requirements: list[Requirement]) -> Iterator[str]:
    if record.header["specifications"] != stamp_of(requirements):
        yield "the specifications of the record are not those of this harness: run it again with this version"
    known = {one.id: one for one in requirements}
    for name, told in record.requirements.items():
        right = known.get(name)
        if right is None:
            yield f"{name} is no requirement of this harness"
        elif (told["level"], told["claim"], told["counted"], told["statement"]) != (
            right.level, right.claim, right.counted, right.statement,
        ):  # fmt: skip
            yield f"{name} is another requirement in the record: level, claim or statement differ"


def _asked(record: Record, requirements: list[Requirement]) -> Iterator[str]:
    if record.footer["partial"]:
        yield "only a part was asked (-k, -m, -x or an id was given)"
    head = record.header
    asked = {case["case"] for case in record.cases}
    wanted = [
        case
        for one in requirements
        if one.claim in head["claims"] and one.applies(head["profile"], head["era"])
        for case in one.cases
    ]
    missing = [case for case in wanted if case.id not in asked]
    if missing and not record.footer["partial"]:
        yield f"{len(missing)} of {len(wanted)} cases of the claims were not asked: {_named(missing)}"


def _named(cases: Iterable[Case]) -> str:
    names = [case.id for case in cases]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _files(folder: Path, record: Record) -> Iterator[str]:
    if (folder / "report.html").read_text(encoding="utf-8", errors="replace") != page(record):
        yield "report.html is not the page of this record"
    if (folder / "README.md").read_text(encoding="utf-8", errors="replace").find(record.header["command"]) < 0:
        yield "README.md does not say how to run it again"
    told: dict[str, Any] = load(folder / "product.yaml", "product.yaml").plain()
    for name in ("name", "version"):
        if told.get(name) != record.header["product"][name]:
            yield f"product.yaml has the {name} {told.get(name)!r}, the record {record.header['product'][name]!r}"
