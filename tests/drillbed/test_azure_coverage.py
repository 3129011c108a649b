"""`drillbed coverage azure` from the command line, and that nothing of the published API is left without an answer."""

import re
from pathlib import Path

import pytest

from drillbed.cli import run
from drillbed.signals import Interruption

OPENAPI = Path(__file__).parents[3] / "shared" / "openapi"


def test_it_counts_by_resource_type(capsys):
    assert run(["coverage", "azure"], Interruption()) == 0
    text = capsys.readouterr().out
    rows = {row[0]: (int(row[1]), int(row[2])) for row in re.findall(r"^(Microsoft\S+) +(\d+) +(\d+)$", text, re.MULTILINE)}
    built, other = map(int, re.search(r"^operations; .* (\d+) +(\d+)$", text, re.MULTILINE).groups())
    assert (built, other) == (sum(row[0] for row in rows.values()), sum(row[1] for row in rows.values()))
    vault = "Microsoft.RecoveryServices/vaults"
    assert rows[f"{vault}/replicationJobs"] == (6, 0)
    assert rows[f"{vault}/replicationProtectionIntents"] == (0, 3)
    assert rows["Microsoft.RecoveryServices/operations"] == (1, 0)


@pytest.mark.parametrize("name", ["2024-04-01/service.json", "asr-api-2025-08-01.from-sdk.json"])
def test_every_operation_of_the_published_contract_is_answered(capsys, name):
    contract = OPENAPI / name
    if not contract.exists():
        pytest.skip("the published contract is not beside this repository")
    assert run(["coverage", "azure", "--contract", str(contract)], Interruption()) == 0
    found = re.search(r"Of (\d+) operations of .* (\d+) are answered", capsys.readouterr().out)
    assert found[1] == found[2] in ("153", "154")


def test_a_file_that_is_no_contract(capsys, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text("[]")
    assert run(["coverage", "azure", "--contract", str(wrong)], Interruption()) == 2
    assert "is no contract" in capsys.readouterr().err
