"""Runs of the miniature product against specifications."""

from pathlib import Path

import toy

from harness.product import Setup
from harness.scenario import run_case
from harness.spec import Requirement, load_specs
from harness.verdict import Result

EXAMPLES = Path(__file__).parent / "examples"
SETUP = Setup(seed=1, profile="classic", era="2018")
PAGES = "page:\n  title: A page\n  path: a/b.md\n  commit: unpinned\n  dated: 2018-06\n"
HEAD = """\
format: 1
area: Test
requirements:
  FO-002:
    level: must
    profile: both
    claim: core
    statement: Something holds.
    source: [{page: page, says: something}]
"""


def run_requirement(requirement: Requirement, product: toy.Toy) -> list[Result]:
    return [run_case(case, product, toy.Worlds(), SETUP) for case in requirement.cases]


def run_examples(product: toy.Toy) -> list[Result]:
    return [result for requirement in load_specs(EXAMPLES) for result in run_requirement(requirement, product)]
