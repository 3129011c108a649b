"""`drill.json`: the result for programs. Its shape is a contract."""

import json
from pathlib import Path
from typing import Any

from drillbed.report.page import render_page
from drillbed.report.result import DrillResult


def drill_document(result: DrillResult) -> dict[str, Any]:
    """The result as `drill.json` has it."""
    return {
        "ok": result.ok,
        "profile": result.profile,
        "seed": result.seed,
        "steps": [
            {
                "name": step.name,
                "ok": step.ok,
                "real_s": round(step.real_s, 3),
                "emulated_s": round(step.emulated_s, 3),
                "bytes": step.bytes,
                "detail": step.detail,
            }
            for step in result.steps
        ],
        "disks": [
            {"machine": check.machine, "disk": check.disk, "side": check.side, "sha256": check.sha256, "equal": check.equal}
            for check in result.disks
        ],
        "flows": [
            {"from": flow.source, "to": flow.destination, "port": flow.port, "bytes": flow.bytes, "tls": flow.tls}
            for flow in result.flows
        ],
    }


def write_reports(result: DrillResult, out: Path) -> Path:
    """Write `drill.json` and `report.html` into the folder `out`. The answer is the path of `drill.json`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.html").write_text(render_page(result), encoding="utf-8")
    written = out / "drill.json"
    written.write_text(json.dumps(drill_document(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return written
