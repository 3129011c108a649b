"""Every requirement rests on a page, is asked by a scenario, and no refusal stands without its positive twin."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tree import ROOT

NOT_REQUIREMENTS = ("sources.yaml", "not-asked.yaml")
JUDGING = ("then", "otherwise")


def requirements() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((ROOT / "specs").rglob("*.yaml")):
        if path.name not in NOT_REQUIREMENTS:
            content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
            for name, body in content["requirements"].items():
                yield f"{path.relative_to(ROOT)}::{name}", body


def pages() -> set[str]:
    return set(yaml.load((ROOT / "specs" / "sources.yaml").read_text(encoding="utf-8"), yaml.BaseLoader))


def offences(name: str, body: dict[str, Any], known: set[str]) -> list[str]:
    found = []
    sources = body.get("source", [])
    if not sources:
        found.append(f"{name} has no source")
    found += [
        f"{name} rests on a page that sources.yaml does not know: {s.get('page')}" for s in sources if s.get("page") not in known
    ]
    found += [f"{name} does not tell what the page says" for source in sources if not source.get("says", "").strip()]
    scenarios = body.get("scenarios", {})
    if not any(scenario.get("then") for scenario in scenarios.values()):
        found.append(f"{name} is asked by no scenario")
    accepted = any(_judges(scenario, "accepted") for scenario in scenarios.values())
    for title, scenario in scenarios.items():
        refusals = _steps(scenario, "refused")
        found += [f"{name} {title}: a refusal without its reason" for refusal in refusals if not (refusal or {}).get("because")]
        if refusals and not (accepted or scenario.get("otherwise")):
            found.append(f"{name} {title}: a refusal without its positive twin")
    return found


def _steps(scenario: dict[str, Any], word: str) -> list[Any]:
    """The arguments of each use of a judging word in a scenario, also inside `any_of`."""
    found = []
    for part in JUDGING:
        steps = list(scenario.get(part, []))
        while steps:
            step = steps.pop()
            if isinstance(step, list):
                steps += step
            elif isinstance(step, dict):
                found += [value for key, value in step.items() if key == word]
                steps += [inner for key, value in step.items() if key == "any_of" for inner in value]
            elif step == word:
                found.append(None)
    return found


def _judges(scenario: dict[str, Any], word: str) -> bool:
    return bool(_steps(scenario, word))


def test_each_requirement_can_be_trusted() -> None:
    known = pages()
    found = [offence for name, body in requirements() for offence in offences(name, body, known)]
    assert not found, "\n".join(found)


def test_there_are_requirements() -> None:
    assert len(list(requirements())) >= 30


GOOD = {
    "source": [{"page": "p", "says": "so"}],
    "scenarios": {"a": {"then": [{"refused": {"because": "x"}}], "otherwise": ["accepted"]}},
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"source": []}, "no source"),
        ({"source": [{"page": "q", "says": "so"}]}, "does not know"),
        ({"source": [{"page": "p", "says": " "}]}, "does not tell"),
        ({"scenarios": {}}, "no scenario"),
        ({"scenarios": {"a": {"then": [{"refused": {"because": "x"}}]}}}, "positive twin"),
        ({"scenarios": {"a": {"then": [{"any_of": [[{"refused": {}}], ["accepted"]]}]}}}, "without its reason"),
    ],
)
def test_the_check_sees_it(change: dict[str, Any], complaint: str) -> None:
    assert offences("X-001", GOOD, {"p"}) == []
    found = offences("X-001", GOOD | change, {"p"})
    assert len(found) == 1
    assert complaint in found[0]
