"""The published schemas accept what is right and refuse what is wrong."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import jsonschema_rs
import pytest
from toy_bench import EXAMPLES

from harness.schemas import SCHEMAS, schema_text
from harness.strict_yaml import load

SPECS = Path(__file__).parents[2] / "specs"


@pytest.mark.parametrize("folder", [EXAMPLES, SPECS], ids=["examples", "specs"])
def test_an_editor_accepts_every_specification(folder: Path) -> None:
    validator = jsonschema_rs.validator_for(json.loads(schema_text("spec")))
    for path in folder.rglob("*.yaml"):
        if path.name not in ("sources.yaml", "not-asked.yaml"):
            validator.validate(load(path, path.name).plain())


def spoil(change: Callable[[dict], object]) -> dict:
    found = load(EXAMPLES / "reprotect" / "master-target.yaml", "file").plain()
    spoilt = copy.deepcopy(found)
    change(spoilt["requirements"]["RPR-005"])
    return spoilt


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.update(level="must-not"),
        lambda one: one.update(reson="typo"),
        lambda one: one.pop("source"),
        lambda one: one["scenarios"]["snapshot-on-master-target"].update(then=["acepted"]),
        lambda one: one["scenarios"]["snapshot-on-master-target"].update(then=[{"refused": {"because": "mood"}}]),
        lambda one: one["scenarios"]["snapshot-on-master-target"].update(when=[{"reprotect": {"wm": "web"}}]),
        lambda one: one["scenarios"]["snapshot-on-master-target"].update(when=["accepted"]),
    ],
)
def test_an_editor_shows_mistakes(change: Callable[[dict], object]) -> None:
    validator = jsonschema_rs.validator_for(SCHEMAS["spec"]())
    assert not validator.is_valid(spoil(change))
    assert validator.is_valid(spoil(lambda _: None))
