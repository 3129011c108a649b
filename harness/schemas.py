"""What the harness publishes as JSON Schema: `drillbed schema spec|driver|record`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.remote.schema import driver_schema
from harness.spec_schema import spec_schema


def record_schema() -> dict[str, Any]:
    """One line of `run.ndjson`."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "record.schema.json").read_text(encoding="utf-8"))
    return found


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"spec": spec_schema, "driver": driver_schema, "record": record_schema}


def schema_text(of: str) -> str:
    """The schema, indented."""
    return json.dumps(SCHEMAS[of](), indent=1) + "\n"
