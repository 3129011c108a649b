"""A mistake in a specification is one error with file and line."""

from collections.abc import Callable
from pathlib import Path

import pytest
from toy_bench import HEAD, PAGES

from harness.spec import load_specs
from harness.strict_yaml import SpecError

GOOD = (
    HEAD
    + """\
    scenarios:
      one:
        matrix:
          kind: [planned, unplanned]
        given:
          - protected: {vms: [web]}
        but:
          - power: {vm: web, is: powered-off}
        when:
          - failover: {vm: web, to: azure, kind: "${kind}"}
        then:
          - refused: {because: snapshot-present}
        otherwise:
          - accepted
"""
)

REFUSED = "          - refused: {because: snapshot-present}\n"
MISTAKES = [
    ("format: 1", "format: 2", 1, "format 2 is not known"),
    ("format: 1", "format: true", 1, "format True is not known"),
    ("area: Test", "aera: Test", 2, "unknown key 'aera'"),
    ("  FO-002:", "  FO-2:", 4, "'FO-2' is not the id of a requirement"),
    ("    level: must", "    level: shall", 5, "'shall' is not one of the levels"),
    ("    profile: both", "    profil: both", 6, "unknown key 'profil'"),
    ("    claim: core", "    claim: cores", 7, "'cores' is not one of the claims"),
    ("    claim: core", "    claim: core\n    needs: [observe-flow]", 8, "'observe-flow' is not one of the capabilities"),
    ("    claim: core", "    claim: core\n    eras: [twenty]", 8, "an era is a year"),
    ("    claim: core", "    claim: core\n    status: draft", 8, "not one of the statuses"),
    ("Something holds.", "Something MUST hold.", 8, "no MUST"),
    ("[{page: page, says: something}]", "[]", 9, "at least one source"),
    ("page: page,", "page: pages,", 9, "no page 'pages'"),
    ("    source: [{page: page, says: something}]\n", "", 4, "`source` is missing"),
    ("      one:", "      One:", 11, "'One' is not the name of a scenario"),
    ("      one:", "      one-otherwise:", 11, "may not end in -otherwise"),
    ("        matrix:", "        cases: [{kind: planned}]\n        matrix:", 11, "both `matrix` and `cases`"),
    ("[planned, unplanned]", "[]", 12, "no values"),
    ("          kind: [planned, unplanned]", "          kind: [planned]\n          other: [a]", 11, "'other' is never used"),
    ('"${kind}"', '"${kinds}"', 11, "'kind' is never used"),
    ('"${kind}"', '"un${kind}"', 11, "'kind' is never used"),
    ("[web]}\n", '["a${kind}"]}\n', 15, "texts are not put together"),
    ("[web]}\n", '["${nothing}"]}\n', 15, "no parameter 'nothing'"),
    ("[planned, unplanned]", "[planned, planned]", 11, "the same id"),
    ("- protected:", "- protect:", 15, "`protect` may stand in when, not in given"),
    ("- protected:", "- protekted:", 15, "no word `protekted`"),
    ("{vms: [web]}", "{vm: [web]}", 15, "no argument `vm`"),
    ("{vms: [web]}", "{group: shop}", 15, "needs `vms`"),
    ("{vms: [web]}", "{vms: web}", 15, "must be a list"),
    ("{vms: [web]}", "{vms: [7]}", 15, "must be text"),
    ("- protected: {vms: [web]}", "- protected", 15, "needs `vms`"),
    ("is: powered-off", "is: off", 17, "must be one of powered-on"),
    ("is: powered-off", "is: false", 17, "must be one of powered-on"),
    ("because: snapshot-present", "because: snapshots", 21, "'snapshots' is not one of the reasons"),
    ("- accepted", "- accepted: {}\n            refused: {because: no-vcenter}", 23, "one word"),
    ("        otherwise:\n          - accepted\n", "", 11, "`but` and `otherwise` go together"),
    ("- accepted", "- state: {vm: web, is: protected}", 4, "no positive twin"),
    ("        then:\n          - refused: {because: snapshot-present}\n", "", 11, "`then` is missing"),
    (REFUSED, "          - any_of: [[refuse]]\n", 21, "no word `refuse`"),
    (REFUSED, "          - eventually: {within_minutes: 5}\n", 21, "at least one judgement"),
    (
        REFUSED,
        "          - eventually: {within_minutes: 5, state: {vm: web, is: fine}}\n",
        21,
        "'fine' is not one of the states",
    ),
    (REFUSED, "          - recovery_points: {vm: web, count: -1}\n", 21, "negative"),
    (REFUSED, "          - flows: {exactly: [[web, 443]]}\n", 21, "must be a list of"),
    (REFUSED, '          - flows: {port: "443"}\n', 21, "must be whole number"),
]  # fmt: skip


def test_the_good_one_is_good(write_specs: Callable[..., Path]) -> None:
    (requirement,) = load_specs(write_specs(GOOD))
    assert [case.name for case in requirement.cases] == [
        "one[planned]",
        "one[unplanned]",
        "one-otherwise[planned]",
        "one-otherwise[unplanned]",
    ]


@pytest.mark.parametrize(("old", "new", "line", "message"), MISTAKES, ids=[f"{i}-{m[3][:30]}" for i, m in enumerate(MISTAKES)])
def test_a_mistake_is_named_with_its_place(write_specs: Callable[..., Path], old: str, new: str, line: int, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(SpecError) as caught:
        load_specs(write_specs(GOOD.replace(old, new, 1)))
    assert str(caught.value).startswith(f"specs/area/file.yaml:{line}: "), str(caught.value)
    assert message in str(caught.value)


def test_an_id_stands_once(write_specs: Callable[..., Path]) -> None:
    write_specs(GOOD, name="a/one.yaml")
    with pytest.raises(SpecError, match=r"specs/b/two.yaml:4: FO-002 stands already in specs/a/one.yaml:4"):
        load_specs(write_specs(GOOD, name="b/two.yaml"))


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        (PAGES.replace("commit: unpinned", "comit: unpinned"), "specs/sources.yaml:4: the page page has an unknown key 'comit'"),
        (PAGES.replace("  dated: 2018-06\n", ""), "specs/sources.yaml:1: `dated` is missing"),
        (PAGES + "page: 1\n", "specs/sources.yaml:6: the key 'page' stands twice"),
    ],
)
def test_sources_are_as_strict(write_specs: Callable[..., Path], pages: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_specs(write_specs(GOOD, pages=pages))
    assert str(caught.value).startswith(message)


def test_a_folder_without_sources_says_so(write_specs: Callable[..., Path]) -> None:
    folder = write_specs(GOOD)
    (folder / "sources.yaml").unlink()
    with pytest.raises(SpecError, match=r"specs/sources.yaml:1: there is no such file"):
        load_specs(folder)


def test_a_review_is_stale_when_the_text_changed(write_specs: Callable[..., Path]) -> None:
    (plain,) = load_specs(write_specs(GOOD))
    reviewed = GOOD.replace("    level: must", f"    level: must\n    reviewed: {plain.stamp}\n    since: '0.1'")
    (current,) = load_specs(write_specs(reviewed))
    assert (current.stale_review, current.since) == (False, "0.1")
    (changed,) = load_specs(write_specs(reviewed.replace("powered-off", "unreachable")))
    assert changed.stale_review
