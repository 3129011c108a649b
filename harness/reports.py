"""Reports made from a record: `trace.csv` for auditors, `badge.json`, `report.html` for people (see `report_page`)."""

import csv
import json
from pathlib import Path

from harness.record import Record, read_record
from harness.report_page import page
from harness.verdict import CONFORMANT, INCOMPLETE, WITH_EXEMPTIONS

_COLUMNS = (
    "requirement",
    "level",
    "profile",
    "claim",
    "status",
    "row",
    "page",
    "dated",
    "commit",
    "says",
    "statement",
    "case",
    "verdict",
)


def write_reports(folder: Path) -> list[Path]:
    """All reports of the complete record in `folder`; `RecordError` where there is none."""
    record = read_record(folder / "run.ndjson")
    trace, badge, html = folder / "trace.csv", folder / "badge.json", folder / "report.html"
    with trace.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(_COLUMNS)
        rows.writerows(trace_rows(record))
    badge.write_text(json.dumps(badge_of(record)), encoding="utf-8")
    html.write_text(page(record), encoding="utf-8")
    return [trace, badge, html]


def trace_rows(record: Record) -> list[list[str]]:
    """One row for each case and source of its requirement."""
    rows = []
    for case in record.cases:
        of = record.requirements[case["requirement"]]
        for source in of["source"]:
            rows.append(
                [
                    *(of[name] for name in ("id", "level", "profile", "claim", "status")),
                    *(source[name] for name in ("row", "title", "dated", "commit", "says")),
                    *(of["statement"], case["case"], case["verdict"]),
                ]
            )
    return rows


def badge_of(record: Record) -> dict[str, object]:
    """A badge end point: the claims and the weakest word. No percentage."""
    words = record.footer["claims"]
    colours = {CONFORMANT: "brightgreen", WITH_EXEMPTIONS: "green", INCOMPLETE: "yellow"}
    worst = next((word for word in words.values() if word != CONFORMANT), CONFORMANT if words else INCOMPLETE)
    message = "; ".join(f"{claim}: {word}" for claim, word in words.items()) or "nothing asked"
    message += " (in part)" if record.footer["partial"] else ""
    return {"schemaVersion": 1, "label": "conformance", "message": message, "color": colours.get(worst, "red")}
